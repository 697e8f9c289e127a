//! The benchmark kit. A figure alone means little, least of all on a machine with neighbours: each
//! has a peer in the same run, in turns with it, so read the ratios.

use std::path::PathBuf;

use anyhow::Result;
use clap::{Parser, Subcommand};
use testbed::bench::{cookies, denying, forwarding, gate, memory, minting, restart, web};
use testbed::command_line;
use testbed::flood;
use testbed::growth;

/// Measures Bulwark in network namespaces, beside its peers. Needs root.
#[derive(Debug, Parser)]
struct Options {
    /// Where tables are left, as NAME.json and NAME.svg.
    #[arg(long, global = true, default_value = "target/bench")]
    into: PathBuf,
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Nanoseconds that the gate takes for a packet, by class.
    Gate(gate::Options),
    /// Nanoseconds that it takes for a SYN that it answers itself.
    Cookies(cookies::Options),
    /// SYN+ACKs a second.
    Minting(minting::Options),
    /// Packets of a denied network a second.
    Denying(denying::Options),
    /// Nanoseconds that the machine takes for a read, by how much memory is read in.
    Memory(memory::Options),
    /// Packets a second.
    Forwarding(forwarding::Options),
    /// New connections a second, how long they take, and throughput.
    Web(web::Options),
    /// What a flood of spoofed SYNs, or of other frames, does to users.
    Flood(flood::Options),
    /// What users notice of a director that ends and is started again.
    Restart(restart::Options),
    /// What it costs to add a real server to a service that has many.
    Growth,
    /// How long the command line takes.
    CommandLine(command_line::Options),
}

fn main() -> Result<()> {
    let Options { into, what } = Options::parse();
    match what {
        What::Gate(options) => options.run()?.publish(&into),
        What::Cookies(options) => options.run()?.publish(&into),
        What::Minting(options) => options.run()?.publish(&into),
        What::Denying(options) => options.run()?.publish(&into),
        What::Memory(options) => options.run()?.publish(&into),
        What::Forwarding(options) => options.run()?.publish(&into),
        What::Web(options) => options.run()?.publish(&into),
        What::Flood(options) => options.run(),
        What::Restart(options) => options.run()?.publish(&into),
        What::Growth => growth::run(),
        What::CommandLine(options) => options.run(),
    }
}

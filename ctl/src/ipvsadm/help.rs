//! `-h` and `-v`.

use adminapi::model::{Engine, Helper, Scheduler, SyncRole, TunnelType};
use adminapi::table::flags;

use super::parse::Context;
use super::switches::Dialect;

const USAGE: &str = "\
Usage:
  PROGRAM -A|E -t|u|f SERVICE [-s SCHEDULER] [-p [SECONDS]] [-M MASK] [-b FLAGS] [--pe NAME] [-o]
  PROGRAM -D -t|u|f SERVICE
  PROGRAM -C
  PROGRAM -a|e -t|u|f SERVICE -r SERVER [-g|i|m] [-w WEIGHT] [-x UPPER] [-y LOWER] [TUNNEL]
  PROGRAM -d -t|u|f SERVICE -r SERVER
  PROGRAM -L|l [SELECTION] [COLUMNS] [-n] [--exact] [--nosort]
  PROGRAM -Z [-t|u|f SERVICE]
  PROGRAM -S [-n]
  PROGRAM -R < LINES
  PROGRAM --set TCP TCPFIN UDP
  PROGRAM --start-daemon|--stop-daemon master|backup [SYNC]
  PROGRAM -h | -v

The command comes first:
  -A --add-service      add a virtual service
  -E --edit-service     change a virtual service
  -D --delete-service   remove a virtual service
  -C --clear            remove all virtual services
  -a --add-server       add a real server to a virtual service
  -e --edit-server      change a real server
  -d --delete-server    remove a real server
  -L -l --list          list
  -Z --zero             zero the counters of one service, or of all
  -S --save             print what -R takes
  -R --restore          run the lines of standard input
     --set              set timeouts in seconds; 0 leaves one as it is
     --start-daemon     start a connection synchronisation daemon
     --stop-daemon      stop it
  -h --help             this text
  -v --version          the version

SERVICE:
  -t --tcp-service      HOST[:PORT]
  -u --udp-service      HOST[:PORT]
     --sctp-service     HOST[:PORT]
  -f --fwmark-service   MARK, followed by -6 (--ipv6) for IPv6
HOST is 192.0.2.1, a name, or [2001:db8::1]; PORT is a number or a name.

Of a service:
  -s --scheduler        how a real server is chosen (default wlc)
  -p --persistent       a client keeps its real server for so long (default 360)
  -M --netmask          clients that count as one
  -b --sched-flags      flags of the scheduler, separated by commas
     --pe               persistence engine
  -o --ops              one-packet scheduling

Of a real server:
  -r --real-server      HOST[:PORT]
  -g --gatewaying       direct routing (default)
  -i --ipip             tunnel
  -m --masquerading     NAT
  -w --weight           share of new connections (default 1); 0 = none
  -x --u-threshold      most connections
  -y --l-threshold      connections at which it gets new ones again
     --tun-type         ipip, gue or gre, with --tun-port and one of
                        --tun-nocsum --tun-csum --tun-remcsum

Of a listing:
  -t, -u, -f            only this service
  -c --connection       the connections
     --timeout          the timeouts
     --daemon           the synchronisation daemons
     --stats            counters
     --rate             rates
     --thresholds       thresholds
     --persistent-conn  persistent connections
     --tun-info         tunnels
  -n --numeric          numbers instead of names
  -X --exact            counters in full
     --nosort           the order of the director

Of synchronisation:
     --mcast-interface --syncid --mcast-group --mcast-port --mcast-ttl --sync-maxlen
";

const OWN_USAGE: &str = "
Only PROGRAM has:
     --fullnat          (of a real server) NAT of both ends
     --helper           (of a service) ftp, none or auto: what follows its connections
     --json             listings as JSON
     --watch [SECONDS]  listings again and again (default 2)
     --full             -S saves timeouts, sysctls, marks and levels too
     --atomic           -R applies all lines or none, what they do not name
                        goes; says first what that changes
     --dry-run          with --atomic: only says it
     --api ADDRESS      the director: unix:/PATH, https://HOST:PORT or http://HOST:PORT
                        (default: $BULWARK_API, else unix:/run/bulwark/api.sock)
     --ca FILE          who signs its certificate (default: $BULWARK_CA)
  PROGRAM status        how the director does
  PROGRAM help          the other words
";

/// What the help text says of an option; nothing where it needs no words.
pub(crate) fn of(long: &str) -> &'static str {
    let name = format!("--{long} ");
    let mut lines = USAGE.lines().chain(OWN_USAGE.lines());
    let line = lines.find_map(|line| {
        let (before, after) = line.split_once(&name)?;
        before.trim().len().le(&"-L -l".len()).then_some(after)
    });
    line.map_or("", str::trim)
}

/// What the value of an option may be, if that is one of a few words.
pub(crate) fn words(long: &str) -> Vec<&'static str> {
    match long {
        "scheduler" => Scheduler::ALL.map(Scheduler::name).to_vec(),
        "sched-flags" => flags::NAMES.to_vec(),
        "pe" => Engine::ALL.map(Engine::name).to_vec(),
        "helper" => Helper::ALL.map(Helper::name).to_vec(),
        "tun-type" => TunnelType::ALL.map(TunnelType::name).to_vec(),
        "start-daemon" | "stop-daemon" => SyncRole::ALL.map(SyncRole::name).to_vec(),
        _ => Vec::new(),
    }
}

/// The help text.
pub(crate) fn text(context: &Context<'_>) -> String {
    let mut text = format!("{}\n{USAGE}", version(context.dialect).trim_end());
    if context.dialect == Dialect::Bulwark {
        text += OWN_USAGE;
    }
    text.replace("PROGRAM", context.program)
}

/// The version line.
pub(crate) const fn version(dialect: Dialect) -> &'static str {
    match dialect {
        Dialect::Bulwark => concat!("bulwark ", env!("CARGO_PKG_VERSION"), "\n"),
        Dialect::Ipvsadm => "ipvsadm v1.31 2019/12/24 (compiled with popt and IPVS v1.2.1)\n",
    }
}

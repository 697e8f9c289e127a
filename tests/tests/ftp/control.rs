//! A client's control connection, of which it says every line itself.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use testbed::topology::{CLIENT_V4, VIP_V4};

/// How long anything may take.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// Where a client listens for all its data connections: none of the ports that its kernel gives away.
pub(crate) const LISTENS: u16 = 30_123;

/// A control connection.
pub(crate) struct Control(BufReader<TcpStream>);

impl Control {
    pub(crate) fn log_in() -> Result<Self> {
        let stream = TcpStream::connect((VIP_V4, 21))?;
        stream.set_read_timeout(Some(PATIENCE))?;
        let mut control = Self(BufReader::new(stream));
        control.hear("220")?;
        control.say("USER anonymous", "230")?;
        Ok(control)
    }

    fn say(&mut self, line: &str, reply: &str) -> Result<String> {
        self.0
            .get_mut()
            .write_all(format!("{line}\r\n").as_bytes())?;
        self.hear(reply).context(line.to_owned())
    }

    pub(crate) fn hear(&mut self, reply: &str) -> Result<String> {
        let mut line = String::new();
        self.0.read_line(&mut line)?;
        ensure!(line.starts_with(reply), "{line}");
        Ok(line)
    }

    /// The client's own end.
    pub(crate) fn client(&self) -> Result<SocketAddr> {
        Ok(self.0.get_ref().local_addr()?)
    }

    /// Where the next data connection is to be opened to.
    pub(crate) fn offered(&mut self) -> Result<SocketAddr> {
        let line = self.say("PASV", "227")?;
        let (_, numbers) = line.split_once('(').context("no address")?;
        let (numbers, _) = numbers.split_once(')').context("no address")?;
        let octets: Vec<u8> = numbers
            .split(',')
            .map(str::parse)
            .collect::<Result<_, _>>()?;
        let [a, b, c, d, high, low] = octets[..] else {
            anyhow::bail!("no address: {line}");
        };
        let port = u16::from_be_bytes([high, low]);
        Ok(SocketAddr::from(([a, b, c, d], port)))
    }

    /// Names [`LISTENS`].
    pub(crate) fn listens(&mut self) -> Result<()> {
        let [a, b, c, d] = CLIENT_V4.octets();
        let [high, low] = LISTENS.to_be_bytes();
        self.say(&format!("PORT {a},{b},{c},{d},{high},{low}"), "200")?;
        Ok(())
    }

    /// Has the real server open a connection to [`LISTENS`].
    pub(crate) fn call_in(&mut self, file: &str) -> Result<()> {
        self.listens()?;
        self.0
            .get_mut()
            .write_all(format!("RETR {file}\r\n").as_bytes())?;
        Ok(())
    }
}

/// The name of its host that the real server sends by the next data connection.
pub(crate) fn receive_name(listener: &TcpListener) -> Result<()> {
    let (mut name, from) = listener.accept()?;
    ensure!(from.ip() == VIP_V4, "from {from}");
    let mut text = String::new();
    name.read_to_string(&mut text)?;
    ensure!(!text.is_empty(), "an empty name");
    Ok(())
}

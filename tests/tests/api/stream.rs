//! What a director tells by itself.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;

use anyhow::{Result, bail, ensure};
use testbed::require;

use crate::bed::Bed;

/// The lines of a stream.
struct Stream(BufReader<UnixStream>);

impl Stream {
    fn open(bed: &Bed, path: &str, headers: &str) -> Result<Self> {
        let mut stream = bed.connect()?;
        write!(
            stream,
            "GET {path} HTTP/1.1\r\nHost: x\r\nAccept: text/event-stream\r\n{headers}\r\n"
        )?;
        Ok(Self(BufReader::new(stream)))
    }

    /// What follows `field` in the next line that has it.
    fn next(&mut self, field: &str) -> Result<String> {
        let mut line = String::new();
        while self.0.read_line(&mut line)? > 0 {
            if let Some(value) = line.strip_prefix(field) {
                return Ok(value.trim().to_owned());
            }
            line.clear();
        }
        bail!("the stream ended before {field}")
    }
}

#[test]
fn events_are_told_live_and_from_where_a_client_was() -> Result<()> {
    if !require::machine() {
        return Ok(());
    }
    let bed = Bed::start(|configuration| configuration)?;
    let mut stream = Stream::open(&bed, "/v1/events", "")?;
    let api = bed.director.api();
    let level = |level| api.set_level(None, level);
    let next = |stream: &mut Stream| -> Result<(u64, String)> {
        loop {
            let id = stream.next("id: ")?.parse()?;
            let told = (id, stream.next("data: ")?);
            if told.1.contains("defence level") {
                return Ok(told);
            }
        }
    };
    level(2)?;
    let (first, told) = next(&mut stream)?;
    ensure!(told.contains("0 -> 2"), "{told}");
    level(0)?;
    let (second, told) = next(&mut stream)?;
    ensure!(told.contains("2 -> 0") && second > first, "{told}");
    let mut resumed = Stream::open(&bed, "/v1/events", &format!("Last-Event-ID: {first}\r\n"))?;
    ensure!(next(&mut resumed)? == (second, told));
    Ok(())
}

#[test]
fn statistics_are_told_each_second() -> Result<()> {
    if !require::machine() {
        return Ok(());
    }
    let bed = Bed::start(|configuration| configuration)?;
    let mut stream = Stream::open(&bed, "/v1/stats/stream", "")?;
    let id: u64 = stream.next("id: ")?.parse()?;
    let sample: serde_json::Value = serde_json::from_str(&stream.next("data: ")?)?;
    ensure!(
        sample["id"] == id && sample["windows"]["60s"].is_object(),
        "{sample}"
    );
    let next: u64 = stream.next("id: ")?.parse()?;
    ensure!(next == id + 1, "{next} after {id}");
    let resumed = format!("Last-Event-ID: {}\r\n", id - 1);
    let mut resumed = Stream::open(&bed, "/v1/stats/stream", &resumed)?;
    ensure!(resumed.next("id: ")?.parse::<u64>()? == id);
    Ok(())
}

//! What a program costs a frame: `BPF_PROG_TEST_RUN`, over the frames of many flows, the same program
//! that makes the frames before each subject.

use std::os::fd::{AsRawFd, BorrowedFd};

use anyhow::{Context, Result};
use libbpf_rs::{MapCore, MapFlags, MapHandle, Object, ProgramInput};

use crate::bpf::{self, Source};
use crate::generator::{Flows, sample, settings};
use crate::packet::Mac;

/// A flow lies this part of all flows behind the one before: far, as random ones would.
const GOLDEN: f64 = 0.618_034;

/// Where the subject moves a frame's border, if it does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Border {
    /// Tunnels.
    Front,
    /// Answers.
    End,
}

/// What came of a run.
#[derive(Clone, Copy, Debug, Default)]
pub struct Driven {
    /// Nanoseconds a frame.
    pub nanoseconds: f64,
    /// What the program said of the last one (`enum xdp_action`).
    pub verdict: u32,
}

/// Frames of many flows, for one subject after the other.
pub struct Drive {
    object: Object,
    subject: MapHandle,
    frame: Vec<u8>,
    border: Border,
}

impl Drive {
    /// From the client to the director.
    ///
    /// # Errors
    /// When the kernel refuses the programs.
    pub fn new(flows: &Flows, border: Border) -> Result<Self> {
        let object = bpf::load(Source::Drive)?;
        let frame = sample(flows, (Mac::of_host(1, 1), Mac::of_host(1, 0xfe)));
        let value = settings(flows, &frame, &(0..flows.count), stride(flows.count));
        bpf::map(&object, "config")?.update(&0u32.to_ne_bytes(), &value, MapFlags::ANY)?;
        Ok(Self {
            subject: bpf::map(&object, "subject")?,
            object,
            frame,
            border,
        })
    }

    /// Gives `count` frames to `program`. The calling thread must be in the network namespace of
    /// what the program looks up there.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn run(&self, program: BorrowedFd<'_>, count: u32) -> Result<Driven> {
        let number = program.as_raw_fd().to_ne_bytes();
        self.subject
            .update(&0u32.to_ne_bytes(), &number, MapFlags::ANY)
            .context("the program cannot be called")?;
        let name = match self.border {
            Border::Front => "drive",
            Border::End => "drive_answered",
        };
        let input = ProgramInput {
            data_in: Some(&self.frame),
            repeat: count,
            ..ProgramInput::default()
        };
        let output = bpf::program(&self.object, name)?.test_run(input)?;
        Ok(Driven {
            nanoseconds: output.duration.as_nanos() as f64,
            verdict: output.return_value,
        })
    }
}

/// About the golden part of `count`, and without a factor in common: so all are visited.
fn stride(count: u32) -> u32 {
    let first = (f64::from(count) * GOLDEN) as u32;
    (first.max(1)..)
        .find(|&stride| divisor(stride, count) == 1)
        .unwrap_or(1)
}

fn divisor(one: u32, other: u32) -> u32 {
    if other == 0 {
        one
    } else {
        divisor(other, one % other)
    }
}

#[cfg(test)]
mod tests {
    use super::{divisor, stride};

    #[test]
    fn a_stride_visits_every_flow() {
        assert_eq!(stride(1), 1);
        for count in [2, 3, 10, 1000, 1 << 18, 1_000_000] {
            assert_eq!(divisor(stride(count), count), 1, "{count}");
            assert!(stride(count) < count);
        }
    }
}

//! Millions of frames a second from one core: the kernel runs a BPF program that writes each frame
//! and transmits it on the client's interface (`BPF_F_TEST_XDP_LIVE_FRAMES`, since 5.18).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::ops::Range;
use std::os::fd::{AsFd, AsRawFd};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use libbpf_rs::{Link, MapCore, MapFlags, MapHandle, Object, ProgramInput};

use crate::bpf::{self, Source};
use crate::floor;
use crate::namespace::Namespace;
use crate::packet::{self, Mac, Segment, flag};
use crate::topology::{CLIENT_NETWORK, DIRECTOR_HOST, HOST_SIDE};
use crate::wait;

/// How long a flood may go on.
const PATIENCE: Duration = Duration::from_secs(300);
/// `BPF_F_TEST_XDP_LIVE_FRAMES` of linux/bpf.h.
const LIVE_FRAMES: u32 = 1 << 1;
/// Sequence number of the first SYN; the responder's own is [`SERVER_ISN`].
const CLIENT_ISN: u32 = 1000;
/// `SERVER_ISN` of responder.bpf.c.
const SERVER_ISN: u32 = 5000;
const HEADER_ROOM: usize = 80;

/// What each frame carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// UDP datagrams.
    Udp,
    /// UDP datagrams that the far end answers.
    UdpQuestion,
    /// The first segment of a connection.
    TcpSyn,
    /// The same from nobody: address, port and sequence number of each at random, the address
    /// from the /8 (IPv6: /104) of the first source. `count` means nothing.
    SpoofedSyn,
    /// An acknowledgement of nothing that was ever sent, as little anybody's as that.
    SpoofedAck,
    /// A segment with data in the window of a connection that the responder has answered.
    TcpData,
    /// The segment after that one.
    TcpMore,
}

impl Kind {
    /// Whether each frame is of a connection of its own.
    const fn is_spoofed(self) -> bool {
        matches!(self, Self::SpoofedSyn | Self::SpoofedAck)
    }
}

/// The flows of a generator: they differ in source address and source port.
#[derive(Clone, Copy, Debug)]
pub struct Flows {
    /// What they carry.
    pub kind: Kind,
    /// The first source.
    pub source: SocketAddr,
    /// Where all of them go.
    pub destination: SocketAddr,
    /// How many, taken in turn; 0: at random, from all that 20 bits of address and 12 bits of
    /// port can tell apart.
    pub count: u32,
    /// Bytes of a frame, at least its headers.
    pub frame: usize,
}

impl Flows {
    /// SYNs of nobody to `destination`, as short as they can be.
    pub fn spoofed_syns(destination: SocketAddr) -> Self {
        let (addr, frame): (IpAddr, _) = match destination {
            SocketAddr::V4(_) => (Ipv4Addr::new(172, 16, 0, 0).into(), 60),
            SocketAddr::V6(_) => (Ipv6Addr::new(0xfd00, 0x99, 0, 0, 0, 0, 0, 0).into(), 74),
        };
        Self {
            kind: Kind::SpoofedSyn,
            source: SocketAddr::new(addr, 1024),
            destination,
            count: 0,
            frame,
        }
    }
}

/// Addresses of a counted set of flows, as a power of two; the rest goes to the port.
const ADDRESS_BITS: u32 = 8;
const RANDOM_BITS: (u32, u32) = (20, 12);
const SPOOFED_BITS: (u32, u32) = (24, 15);
const PORT_BITS: u32 = 14;
/// So many flows and more need more addresses.
const MANY: u32 = 1 << (ADDRESS_BITS + PORT_BITS);
const MANY_ADDRESS_BITS: u32 = 12;
/// `QUESTION` of responder.bpf.c.
const QUESTION: u8 = b'?';

/// A source of frames on the client's interface.
pub struct Generator {
    object: Object,
    settings: MapHandle,
    pace: MapHandle,
    far_end: MapHandle,
    frame: Vec<u8>,
    interface: u32,
    macs: (Mac, Mac),
    _pass: Option<Link>,
}

impl Generator {
    /// On the only interface of `client`, to the director at the other end of it.
    ///
    /// # Errors
    /// When the kernel refuses the programs.
    pub fn new(client: &Namespace, flows: &Flows) -> Result<Self> {
        let object = bpf::load(Source::Generator)?;
        let pass = client.enter(|| bpf::attach(&object, "pass", HOST_SIDE))?;
        Self::with(CLIENT_NETWORK, client, flows, object, Some(pass))
    }

    /// The same where the interface has a [`Pass`] already.
    ///
    /// # Errors
    /// As [`Generator::new`].
    pub fn beside(client: &Namespace, flows: &Flows) -> Result<Self> {
        Self::in_network(CLIENT_NETWORK, client, flows)
    }

    /// The same on the only interface of the first host of a network of the director; a [`Pass`] or a
    /// [`Sink`] is there already.
    ///
    /// # Errors
    /// As [`Generator::new`].
    pub fn in_network(network: u8, host: &Namespace, flows: &Flows) -> Result<Self> {
        Self::with(network, host, flows, bpf::load(Source::Generator)?, None)
    }

    fn with(
        network: u8,
        host: &Namespace,
        flows: &Flows,
        object: Object,
        pass: Option<Link>,
    ) -> Result<Self> {
        let interface = host.enter(|| Ok(floor::interface_index(HOST_SIDE)?))?;
        let mut generator = Self {
            settings: bpf::map(&object, "config")?,
            pace: bpf::map(&object, "pace")?,
            far_end: bpf::map(&object, "far_end")?,
            object,
            frame: Vec::new(),
            interface,
            macs: (
                Mac::of_host(network, 1),
                Mac::of_host(network, DIRECTOR_HOST),
            ),
            _pass: pass,
        };
        generator.aim(flows)?;
        Ok(generator)
    }

    /// Changes what it sends; the first flow is the next.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn aim(&mut self, flows: &Flows) -> Result<()> {
        self.aim_at(flows, 0..flows.count)
    }

    /// The same, of some of the flows.
    ///
    /// # Errors
    /// As [`Generator::aim`].
    pub fn aim_at(&mut self, flows: &Flows, some: Range<u32>) -> Result<()> {
        self.frame = sample(flows, self.macs);
        let value = settings(flows, &self.frame, &some, 1);
        self.settings
            .update(&0u32.to_ne_bytes(), &value, MapFlags::ANY)?;
        Ok(())
    }

    /// From now on no more than `window` frames are under way to `sink`: the next one waits until others
    /// have arrived, or do not come any more. None is any number.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn keep_within(&self, window: Option<u64>, sink: &Sink) -> Result<()> {
        let first = 0u32.to_ne_bytes();
        let counters = sink.counters.as_fd().as_raw_fd().to_ne_bytes();
        self.far_end.update(&first, &counters, MapFlags::ANY)?;
        let pace = [window.unwrap_or(0), sink.arrived()?, 0, 0];
        let pace = pace.map(u64::to_ne_bytes).concat();
        Ok(self.pace.update(&first, &pace, MapFlags::ANY)?)
    }

    /// Sends `count` frames from the calling thread, which must be in the client's namespace, in
    /// one system call; gives the time a frame took. The call itself takes some 25 ms more, to
    /// set up and take down a pool of pages.
    ///
    /// # Errors
    /// When the kernel does not know live frames (before 5.18).
    pub fn send_here(&self, count: u32) -> Result<Duration> {
        let mut context = [0u8; 24];
        // struct xdp_md: data, data_end, data_meta, ingress_ifindex, rx_queue_index, egress.
        context[4..8].copy_from_slice(&(self.frame.len() as u32).to_ne_bytes());
        context[12..16].copy_from_slice(&self.interface.to_ne_bytes());
        let input = ProgramInput {
            context_in: Some(&mut context),
            data_in: Some(&self.frame),
            flags: LIVE_FRAMES,
            repeat: count,
            ..ProgramInput::default()
        };
        let program = bpf::program(&self.object, "generate")?;
        let output = program.test_run(input);
        let output = output.context("the kernel does not send live frames")?;
        Ok(output.duration)
    }

    /// Sends `count` frames.
    ///
    /// # Errors
    /// As [`Generator::send_here`].
    pub fn send(&self, client: &Namespace, count: u32) -> Result<()> {
        client.enter(|| self.send_here(count).map(drop))
    }

    /// Sends `round` frames again and again, for as long as `work` takes and until `enough` has come of
    /// it: what a busy machine loses on the way is sent again.
    ///
    /// # Errors
    /// When there is no end of it, or an error of `work`.
    pub fn flood_beside<T: Send>(
        &self,
        client: &Namespace,
        round: u32,
        work: impl FnOnce() -> Result<T> + Send,
        mut enough: impl FnMut() -> Result<()>,
    ) -> Result<T> {
        thread::scope(|scope| {
            let worker = scope.spawn(work);
            let flooded = wait::until("the end of a flood", PATIENCE, || {
                self.send(client, round)?;
                ensure!(worker.is_finished(), "the work beside it goes on");
                enough()
            });
            let worked = worker.join().ok().context("the work has panicked")?;
            flooded.and(worked)
        })
    }

    /// Sends `count` frames from one CPU; gives the time that a frame took.
    ///
    /// # Errors
    /// As [`Generator::send_here`], or when there is no such CPU.
    pub fn send_from(&self, client: &Namespace, cpu: usize, count: u32) -> Result<Duration> {
        client.enter(|| {
            floor::pin_to_cpu(cpu)?;
            self.send_here(count)
        })
    }
}

/// The first frame of `flows`, between two stations.
pub(crate) fn sample(flows: &Flows, (source, destination): (Mac, Mac)) -> Vec<u8> {
    let headers = packet::ethernet(source, destination, &packet_with(flows, 0)).len();
    let payload = flows.frame.saturating_sub(headers);
    packet::ethernet(source, destination, &packet_with(flows, payload))
}

fn packet_with(flows: &Flows, payload: usize) -> Vec<u8> {
    let mut payload = vec![0u8; payload];
    if let (Kind::UdpQuestion, Some(first)) = (flows.kind, payload.first_mut()) {
        *first = QUESTION;
    }
    let segment = match flows.kind {
        Kind::Udp | Kind::UdpQuestion => {
            return packet::udp(flows.source, flows.destination, &payload);
        }
        Kind::TcpSyn => Segment {
            flags: flag::SYN,
            sequence: CLIENT_ISN,
            ..Segment::default()
        },
        Kind::SpoofedSyn => Segment {
            flags: flag::SYN,
            sequence: 0,
            ..Segment::default()
        },
        Kind::SpoofedAck => Segment {
            flags: flag::ACK,
            sequence: 0,
            acknowledgement: SERVER_ISN,
            ..Segment::default()
        },
        Kind::TcpData | Kind::TcpMore => Segment {
            flags: flag::PSH | flag::ACK,
            sequence: match flows.kind {
                Kind::TcpMore => CLIENT_ISN + 1 + payload.len() as u32,
                _ => CLIENT_ISN + 1,
            },
            acknowledgement: SERVER_ISN + 1,
            payload: &payload,
        },
    };
    packet::tcp(flows.source, flows.destination, segment)
}

/// `struct config` of craft.h for some of the flows, where so many lie between one and the next.
pub(crate) fn settings(flows: &Flows, frame: &[u8], some: &Range<u32>, stride: u32) -> Vec<u8> {
    let (source, is_v6) = match flows.source.ip() {
        IpAddr::V4(v4) => (u32::from(v4), false),
        IpAddr::V6(v6) => (u128::from(v6) as u32, true),
    };
    let is_spoofed = flows.kind.is_spoofed();
    let (address_bits, port_bits) = bits(flows);
    let count = if is_spoofed { 0 } else { some.len() as u32 };
    let port = u32::from(flows.source.port());
    let is_tcp = !matches!(flows.kind, Kind::Udp | Kind::UdpQuestion);
    let mut value = frame[..frame.len().min(HEADER_ROOM)].to_vec();
    value.resize(HEADER_ROOM, 0);
    for word in [
        count,
        some.start,
        address_bits,
        port_bits,
        source,
        port,
        without(ip_words(frame, is_v6), source, 0),
        without(payload_words(frame, is_v6, is_tcp), source, port),
        u32::from(is_v6),
        u32::from(is_tcp),
        u32::from(is_spoofed),
        stride,
        frame.len() as u32,
    ] {
        value.extend(word.to_ne_bytes());
    }
    value
}

/// The source of a flow of a counted set.
pub(crate) fn source_of(flows: &Flows, flow: u32) -> SocketAddr {
    let (address_bits, port_bits) = bits(flows);
    let low = |value: u32, bits: u32| value & ((1 << bits) - 1);
    let address = low(flow, address_bits);
    let port = flows.source.port() + low(flow >> address_bits, port_bits) as u16;
    let address: IpAddr = match flows.source.ip() {
        IpAddr::V4(v4) => (u32::from(v4) + address).to_be_bytes().into(),
        IpAddr::V6(v6) => (u128::from(v6) + u128::from(address)).to_be_bytes().into(),
    };
    SocketAddr::new(address, port)
}

/// How many bits of a flow's number go to its address, and to its port.
fn bits(flows: &Flows) -> (u32, u32) {
    match flows.count {
        _ if flows.kind.is_spoofed() => SPOOFED_BITS,
        0 => RANDOM_BITS,
        MANY.. => (MANY_ADDRESS_BITS, PORT_BITS),
        _ => (ADDRESS_BITS, PORT_BITS),
    }
}

/// The checksum that stands in a correct header, as a sum, less what varies.
fn without(checksum: u16, source: u32, port: u32) -> u32 {
    let varying = [source >> 16, source & 0xffff, port];
    // In one's complement, subtracting is adding the complement.
    varying
        .iter()
        .fold(u32::from(!checksum), |sum, word| sum + (0xffff - word))
}

fn ip_words(frame: &[u8], is_v6: bool) -> u16 {
    if is_v6 {
        0
    } else {
        u16::from_be_bytes([frame[24], frame[25]])
    }
}

fn payload_words(frame: &[u8], is_v6: bool, is_tcp: bool) -> u16 {
    let transport = if is_v6 { 54 } else { 34 };
    let at = transport + if is_tcp { 16 } else { 6 };
    u16::from_be_bytes([frame[at], frame[at + 1]])
}

/// What arrives at the end of the way: counted and dropped there, SYNs answered.
pub struct Sink {
    counters: MapHandle,
    _link: Link,
    _object: Object,
}

impl Sink {
    /// On an interface of `namespace`, until it is dropped.
    ///
    /// # Errors
    /// When the kernel refuses the program.
    pub fn new(namespace: &Namespace, interface: &str) -> Result<Self> {
        let object = bpf::load(Source::Responder)?;
        let link = namespace.enter(|| bpf::attach(&object, "sink", interface))?;
        Ok(Self {
            counters: bpf::map(&object, "counters")?,
            _link: link,
            _object: object,
        })
    }

    /// TCP, UDP and tunnelled packets that it took and did not answer.
    ///
    /// # Errors
    /// When its map cannot be read.
    pub fn sunk(&self) -> Result<u64> {
        bpf::counter(&self.counters, 0)
    }

    /// All that has got to it.
    ///
    /// # Errors
    /// When its map cannot be read.
    pub fn arrived(&self) -> Result<u64> {
        Ok(self.sunk()? + self.answered()?)
    }

    /// SYNs that it answered.
    ///
    /// # Errors
    /// When its map cannot be read.
    pub fn answered(&self) -> Result<u64> {
        bpf::counter(&self.counters, 1)
    }
}

/// A program that lets everything pass, on an interface that needs one to receive XDP frames.
pub struct Pass {
    _link: Link,
    _object: Object,
}

impl Pass {
    /// On an interface of `namespace`, until it is dropped.
    ///
    /// # Errors
    /// When the interface has a program already.
    pub fn new(namespace: &Namespace, interface: &str) -> Result<Self> {
        let object = bpf::load(Source::Generator)?;
        let link = namespace.enter(|| bpf::attach(&object, "pass", interface))?;
        Ok(Self {
            _link: link,
            _object: object,
        })
    }
}

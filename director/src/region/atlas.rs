//! The atlas: files in the MaxMind DB format that say in which country a network is, and of which
//! autonomous system. They are the user's, who has them brought up to date; a file that has changed
//! is read anew.

use std::collections::HashMap;
use std::fs;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use maxminddb::{Reader, WithinOptions};
use serde::Deserialize;

use super::{Chart, MAX_NETWORKS, Regions, Territory, tree};
use crate::wire::{Addr, Net};

/// The largest file that is read, in bytes.
const LARGEST: u64 = 1 << 30;

/// Which files there are.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Files {
    /// Where countries are in.
    pub country: Option<PathBuf>,
    /// Where autonomous systems are in.
    pub asn: Option<PathBuf>,
}

impl Files {
    fn all(&self) -> impl Iterator<Item = &PathBuf> {
        let second = self
            .asn
            .iter()
            .filter(|asn| Some(*asn) != self.country.as_ref());
        self.country.iter().chain(second)
    }
}

/// What is wrong with a file, or with what is asked of it.
#[derive(Debug, thiserror::Error)]
pub enum AtlasError {
    /// It cannot be read.
    #[error("{}: {error}", path.display())]
    Unread {
        /// Which.
        path: PathBuf,
        /// Why.
        error: std::io::Error,
    },
    /// It is no such file, or a broken one.
    #[error("{}: {error}", path.display())]
    Broken {
        /// Which.
        path: PathBuf,
        /// Why.
        error: maxminddb::MaxMindDbError,
    },
    /// The regions have too many networks.
    #[error(
        "the regions have {networks} networks of {family}; {MAX_NETWORKS} fit: name fewer countries"
    )]
    TooMany {
        /// How many.
        networks: usize,
        /// Of what.
        family: &'static str,
    },
}

impl AtlasError {
    /// The file that is wrong, if it is one.
    pub fn path(&self) -> Option<&Path> {
        match self {
            Self::Unread { path, .. } | Self::Broken { path, .. } => Some(path),
            Self::TooMany { .. } => None,
        }
    }
}

/// Where an address is, as far as the files say.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Place {
    /// ISO 3166-1.
    pub country: Option<String>,
    /// Two letters.
    pub continent: Option<String>,
    /// The autonomous system that it belongs to.
    pub asn: Option<u32>,
}

impl Place {
    fn or(self, other: Self) -> Self {
        Self {
            country: self.country.or(other.country),
            continent: self.continent.or(other.continent),
            asn: self.asn.or(other.asn),
        }
    }
}

/// What tells one state of a file from the next.
type Stamp = (SystemTime, u64);

fn stamp(path: &Path) -> std::io::Result<Stamp> {
    let about = fs::metadata(path)?;
    Ok((about.modified()?, about.len()))
}

/// One file.
#[derive(Debug)]
pub struct Sheet {
    path: PathBuf,
    stamp: Stamp,
    reader: Reader<Vec<u8>>,
}

/// What a record says, as far as it matters here.
#[derive(Deserialize)]
struct Record {
    country: Option<Country>,
    registered_country: Option<Country>,
    continent: Option<Continent>,
    autonomous_system_number: Option<u32>,
}

#[derive(Deserialize)]
struct Country {
    iso_code: Option<String>,
}

#[derive(Deserialize)]
struct Continent {
    code: Option<String>,
}

impl From<Record> for Place {
    fn from(record: Record) -> Self {
        let code = |country: Option<Country>| country.and_then(|country| country.iso_code);
        Self {
            country: code(record.country).or_else(|| code(record.registered_country)),
            continent: record.continent.and_then(|continent| continent.code),
            asn: record.autonomous_system_number,
        }
    }
}

impl Sheet {
    fn open(path: &Path) -> Result<Self, AtlasError> {
        let unread = |error| AtlasError::Unread {
            path: path.to_owned(),
            error,
        };
        let stamp = stamp(path).map_err(unread)?;
        if stamp.1 > LARGEST {
            return Err(unread(std::io::ErrorKind::FileTooLarge.into()));
        }
        let broken = |error| AtlasError::Broken {
            path: path.to_owned(),
            error,
        };
        let bytes = fs::read(path).map_err(unread)?;
        let about = Reader::from_source(bytes.as_slice()).map_err(broken)?;
        tree::check(&bytes, about.metadata()).map_err(broken)?;
        let reader = Reader::from_source(bytes).map_err(broken)?;
        Ok(Self {
            path: path.to_owned(),
            stamp,
            reader,
        })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What its maker calls it.
    pub fn kind(&self) -> &str {
        &self.reader.metadata().database_type
    }

    /// When it was made, in seconds of Unix time.
    pub fn built(&self) -> u64 {
        self.reader.metadata().build_epoch
    }

    fn broken(&self, error: maxminddb::MaxMindDbError) -> AtlasError {
        AtlasError::Broken {
            path: self.path.clone(),
            error,
        }
    }

    fn place(&self, addr: IpAddr) -> Option<Place> {
        let found = self.reader.lookup(addr).ok()?;
        found.decode::<Record>().ok().flatten().map(Place::from)
    }

    /// Its networks that are in any of the regions. Many share a record.
    fn networks(&self, wanted: &[Territory]) -> Result<Vec<(Net, Regions)>, AtlasError> {
        let mut known: HashMap<usize, Regions> = HashMap::new();
        let mut networks = Vec::new();
        let options = WithinOptions::default();
        let all = self.reader.networks(options).map_err(|e| self.broken(e))?;
        for found in all {
            let found = found.map_err(|e| self.broken(e))?;
            let Some(offset) = found.offset() else {
                continue;
            };
            let regions = match known.get(&offset) {
                Some(regions) => *regions,
                None => {
                    let record = found.decode::<Record>().map_err(|e| self.broken(e))?;
                    let place = record.map(Place::from).unwrap_or_default();
                    let regions = regions_of(wanted, &place);
                    known.insert(offset, regions);
                    regions
                }
            };
            if !regions.is_none() {
                let network = found.network().map_err(|e| self.broken(e))?;
                networks.push((net(network.ip(), network.prefix()), regions));
            }
        }
        Ok(networks)
    }
}

fn regions_of(wanted: &[Territory], place: &Place) -> Regions {
    let having = wanted.iter().filter(|territory| territory.has(place));
    having.fold(Regions::default(), |sum, territory| {
        sum.and(Regions::one(territory.number))
    })
}

/// In a file of both families IPv4 lies at the beginning of IPv6.
fn net(addr: IpAddr, bits: u8) -> Net {
    match addr {
        IpAddr::V6(v6) if bits >= Net::V4_BITS && v6.segments()[..6] == [0; 6] => {
            let [.., a, b, c, d] = v6.octets();
            Net::new(Addr::v4([a, b, c, d]), bits)
        }
        IpAddr::V6(_) => Net::new(addr.into(), bits),
        IpAddr::V4(_) => Net::new(addr.into(), Net::V4_BITS + bits),
    }
}

/// All files, read.
#[derive(Debug, Default)]
pub struct Atlas {
    files: Files,
    sheets: Vec<Sheet>,
}

impl Atlas {
    /// Reads all files.
    ///
    /// # Errors
    /// Which one cannot be, and why.
    pub fn open(files: &Files) -> Result<Self, AtlasError> {
        let sheets = files.all().map(|path| Sheet::open(path));
        Ok(Self {
            files: files.clone(),
            sheets: sheets.collect::<Result<_, _>>()?,
        })
    }

    /// Which files there are.
    pub const fn files(&self) -> &Files {
        &self.files
    }

    /// What was read.
    pub fn sheets(&self) -> &[Sheet] {
        &self.sheets
    }

    /// Whether a file is another one by now. One that is missing may be about to come.
    pub fn is_outdated(&self) -> bool {
        let other = |sheet: &Sheet| stamp(&sheet.path).is_ok_and(|now| now != sheet.stamp);
        self.sheets.iter().any(other)
    }

    /// Where an address is.
    pub fn place(&self, addr: Addr) -> Place {
        let addr = IpAddr::from(addr);
        let places = self.sheets.iter().filter_map(|sheet| sheet.place(addr));
        places.fold(Place::default(), Place::or)
    }

    /// The networks of the regions.
    ///
    /// # Errors
    /// A broken file, or too many of them.
    pub fn chart(&self, wanted: &[Territory]) -> Result<Chart, AtlasError> {
        let sheets = self.sheets.iter().map(|sheet| sheet.networks(wanted));
        let chart = Chart::draw(sheets.collect::<Result<Vec<_>, _>>()?);
        bounded(&chart, MAX_NETWORKS)?;
        Ok(chart)
    }
}

fn bounded(chart: &Chart, most: usize) -> Result<(), AtlasError> {
    let mut families = chart.families().into_iter().zip(["IPv4", "IPv6"]);
    match families.find(|(networks, _)| *networks > most) {
        Some((networks, family)) => Err(AtlasError::TooMany { networks, family }),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A file of 128 nodes whose two records both name the next one: of 2^128 networks.
    fn endless() -> Vec<u8> {
        let nodes = (1..=128u32).flat_map(|next| [next, next].map(u32::to_be_bytes));
        let mut bytes: Vec<u8> = nodes.flatten().collect();
        bytes.extend([0; 16]);
        bytes.extend(b"\xab\xcd\xefMaxMind.com\xe9");
        for (key, value) in [
            ("binary_format_major_version", &b"\xa1\x02"[..]),
            ("binary_format_minor_version", b"\xa0"),
            ("build_epoch", b"\x00\x02"),
            ("database_type", b"\x41T"),
            ("description", b"\xe0"),
            ("ip_version", b"\xa1\x06"),
            ("languages", b"\x00\x04"),
            ("node_count", b"\xc1\x80"),
            ("record_size", b"\xa1\x20"),
        ] {
            bytes.push(0x40 | key.len() as u8);
            bytes.extend(key.as_bytes());
            bytes.extend(value);
        }
        bytes
    }

    #[test]
    fn a_file_of_endless_networks_is_broken() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("endless.mmdb");
        fs::write(&path, endless()).unwrap();
        let told = Sheet::open(&path).unwrap_err().to_string();
        assert!(told.contains("name node 1"), "{told}");
    }

    #[test]
    fn too_many_networks_are_refused_by_family() {
        let at = |addr: &str, bits| (net(addr.parse().unwrap(), bits), Regions::one(0));
        let sheet = vec![at("10.0.0.0", 8), at("::b00:0", 104), at("2001:db8::", 32)];
        let chart = Chart::draw([sheet]);
        assert_eq!(chart.families(), [1, 1], "10/7 is whole");
        assert!(bounded(&chart, 1).is_ok());
        let told = bounded(&chart, 0).unwrap_err().to_string();
        assert!(told.contains("1 networks of IPv4"), "{told}");
    }
}

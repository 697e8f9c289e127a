//! Regions: countries and autonomous systems.

use adminapi::model::Region;
use clap::Args;

use super::network::Refusal;
use crate::command::value::number;

#[derive(Debug, Args)]
pub(super) struct Line {
    /// What it is called.
    pub(super) name: String,
    /// Countries, by the two letters of ISO 3166-1: DE,FR.
    #[arg(long, value_name = "CODES", value_delimiter = ',')]
    countries: Vec<String>,
    /// Continents: AF, AN, AS, EU, NA, OC, SA.
    #[arg(long, value_name = "CODES", value_delimiter = ',')]
    continents: Vec<String>,
    /// Autonomous systems, by number.
    #[arg(long, value_name = "NUMBERS", value_parser = number::<u32>, value_delimiter = ',')]
    asns: Vec<u32>,
    /// All but those.
    #[arg(long)]
    outside: bool,
    /// What is done with its packets for services: deny or black-hole.
    #[arg(long, value_enum)]
    list: Option<Refusal>,
}

impl Line {
    pub(super) fn to_model(&self) -> Region {
        Region {
            name: self.name.clone(),
            countries: self.countries.clone(),
            continents: self.continents.clone(),
            asns: self.asns.clone(),
            outside: self.outside,
            list: self.list.map(Into::into),
        }
    }
}

//! What is wished for, judged by a configuration file before there is a director: by its interfaces,
//! addresses and files, in the way of [`Director::adopt`](super::Director::adopt).

use adminapi::error::Result;

use super::filter::RulePlan;
use super::regions::Numbers;
use super::roles::Touched;
use super::settings::with_timeouts;
use super::{atlases, edit, marks};
use crate::config::{Config, InterfaceName};
use crate::keep::Wishes;
use crate::pool::Pool;
use crate::tcp::Timeouts;

/// Whether a director that starts with `config` can do what `wishes` say, as far as that can be told
/// without the gate.
///
/// # Errors
/// What it would refuse, pointing into a whole configuration.
pub fn judge(config: &Config, wishes: &Wishes) -> Result<()> {
    let interfaces = config.datapath.interfaces.iter();
    let interfaces: Vec<_> = interfaces.map(InterfaceName::as_str).collect();
    let rules = config.filter.with_held(wishes.filter.as_ref());
    let rules = rules.without_idle_widths();
    let filter = atlases::open(&rules);
    let filter = filter.and_then(|atlas| RulePlan::of(rules, &interfaces, &Numbers::new(), atlas));
    let filter = filter.map_err(|error| error.below("/filter"))?;
    let marks = marks::compile(&wishes.marks, &interfaces, filter.numbers());
    let marks = marks.map_err(|error| error.below("/marks"))?;
    with_timeouts(Timeouts::default(), wishes.timeouts)?;
    let local = &config.datapath.local;
    let speakers: Vec<_> = local.addresses.iter().map(|addr| (*addr).into()).collect();
    let mut pool = Pool::new(1).speaking_from(local.ports.clone());
    pool.list_speakers(&speakers);
    pool.set_marks(marks.into());
    pool.set_geography(filter.geography());
    edit::put_services(&mut pool, &mut Touched::default(), &wishes.services, None)
}

#[cfg(test)]
mod tests {
    use adminapi::model::Configuration;
    use serde_json::{Value, json};

    use super::*;

    const BARE: &str = "[datapath]\ninterfaces = [\"eth0\"]\n";
    const SPEAKING: &str =
        "[datapath]\ninterfaces = [\"eth0\", \"eth1\"]\nlocal_addresses = [\"10.0.2.240\"]\n";

    fn told(file: &str, kept: &Value) -> Option<String> {
        let state: Configuration = serde_json::from_value(kept.clone()).unwrap();
        let config = Config::parse(file, "f").unwrap();
        let refused = judge(&config, &Wishes::stored(&state)).err();
        refused.map(|error| error.to_string())
    }

    fn service(more: &Value) -> Value {
        let mut service = json!({"protocol": "udp", "address": "192.0.2.10", "port": 53});
        let fields = service.as_object_mut().unwrap();
        fields.extend(more.as_object().unwrap().clone());
        json!({ "service": [service] })
    }

    #[test]
    fn what_the_file_has_no_more_is_told_with_its_place() {
        let fullnat = json!({"address": "10.0.4.1", "method": "fullnat"});
        let sorry = json!({"check": {"type": "tcp"}, "sorry": fullnat});
        let limit =
            json!({"name": "a", "of": "syns", "per": "source", "rate": 5, "region": "there"});
        for (kept, place) in [
            (
                json!({"service": [], "filter": {"strict": ["eth1"]}}),
                "/filter/strict/0: \"eth1\" is no interface",
            ),
            (
                json!({"service": [], "marks": [{"mark": 1, "interface": "eth1"}]}),
                "/marks/0/interface: \"eth1\" is no interface",
            ),
            (
                service(&json!({ "real": [fullnat] })),
                "/service/0/real/0/method: the director has no IPv4 address",
            ),
            (
                service(&json!({ "health": sorry })),
                "/service/0/health/sorry/method: the director has no IPv4 address",
            ),
        ] {
            assert_eq!(told(SPEAKING, &kept), None, "{kept}");
            let told = told(BARE, &kept).unwrap_or_default();
            assert!(told.starts_with(place), "{told} for {place}");
        }
        for (kept, place) in [
            (
                json!({"service": [], "marks": [{"mark": 1, "region": "there"}]}),
                "/marks/0/region: there is no region",
            ),
            (
                json!({"service": [], "filter": {"limits": [limit]}}),
                "/filter/limits/0/region: there is no region",
            ),
            (
                json!({"service": [], "filter": {"regions": [{"name": "there", "asns": [64500]}]}}),
                "/filter/regions/0/asns: no file says where they are",
            ),
            (
                service(&json!({"one_packet": true, "real": [fullnat]})),
                "/service/0/real/0/method: ",
            ),
            (
                service(&json!({"real": [{"address": "10.0.2.240"}]})),
                "/service/0/real/0/address: 10.0.2.240 is an address that the director speaks from",
            ),
        ] {
            let told = told(SPEAKING, &kept).unwrap_or_default();
            assert!(told.starts_with(place), "{told} for {place}");
        }
    }

    #[test]
    fn without_kept_filters_those_of_the_file_are_judged() {
        let file = format!("{BARE}[filter]\nloose = [\"eth9\"]\n");
        let told = told(&file, &json!({ "service": [] })).unwrap();
        assert!(told.starts_with("/filter/loose/0: \"eth9\""), "{told}");
    }
}

//! `[[filter.region]]`: countries and autonomous systems under one name.

use adminapi::model::Region;

use super::read::{Expected, Section};

const NAME: Expected = Expected::Text("a name");
const COUNTRY: Expected = Expected::Text("a country, as in \"DE\"");
const CONTINENT: Expected = Expected::Text("a continent, as in \"EU\"");
const ASN: Expected = Expected::Number(1..=u32::MAX as i64);
const LIST: Expected = Expected::Word(&["deny", "black-hole"]);

/// One that can be read.
pub(super) fn read(mut section: Section<'_>) -> Option<Region> {
    let name = section.required("name", &NAME, "name it, for limits and marks to find it");
    let region = Region {
        name: name.clone().unwrap_or_default(),
        countries: all(&mut section, "countries", &COUNTRY),
        continents: all(&mut section, "continents", &CONTINENT),
        asns: all(&mut section, "asns", &ASN),
        outside: section.or("outside", &Expected::BOOLEAN, false),
        list: section.optional("list", &LIST),
    };
    section.finish();
    name.map(|_| region)
}

fn all<T: serde::de::DeserializeOwned>(
    section: &mut Section<'_>,
    key: &'static str,
    each: &Expected,
) -> Vec<T> {
    let found = section.list(key, each);
    let values = found.into_iter().flat_map(|(_, values)| values);
    values.map(|(_, value)| value).collect()
}

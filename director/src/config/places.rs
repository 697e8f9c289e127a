//! Where what could be read of a list of tables stands in the file, which may have more.

use super::read::Section;

/// The places of a list, in its order.
pub(super) struct Places {
    key: &'static str,
    places: Vec<usize>,
}

impl Places {
    /// What `read` makes of each table `[[key]]` of `section`, with its places.
    pub(super) fn read<T>(
        section: &mut Section<'_>,
        key: &'static str,
        read: fn(Section<'_>) -> Option<T>,
    ) -> (Self, Vec<T>) {
        let sections = section.sections(key).into_iter();
        let (places, found) = sections
            .filter_map(|(place, section)| Some((place, read(section)?)))
            .unzip();
        (Self { key, places }, found)
    }

    /// `pointer`, which leads on from the list as it was read ("/2/region"), as the file counts.
    pub(super) fn in_file(&self, pointer: &str) -> String {
        let key = self.key;
        let mut parts = pointer.trim_start_matches('/').splitn(2, '/');
        let place = parts.next().and_then(|part| part.parse::<usize>().ok());
        let place = place.and_then(|place| self.places.get(place));
        match (place, parts.next()) {
            (Some(place), Some(rest)) => format!("/{key}/{place}/{rest}"),
            (Some(place), None) => format!("/{key}/{place}"),
            _ => format!("/{key}"),
        }
    }
}

//! The files that say where networks are, as the rules name them. Whoever may change the rules may
//! not have the director, which is root, read what he likes.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use adminapi::error::Result;
use adminapi::model::{Configuration, FilterRules};
use adminapi::{ControlError, Problem};

use super::Director;
use crate::region::{Atlas, AtlasError, Files};

/// The fields of rules that name files, and the files that are named.
fn named(rules: &FilterRules) -> impl Iterator<Item = (&'static str, &str)> {
    let fields = [
        ("/country_file", &rules.country_file),
        ("/asn_file", &rules.asn_file),
    ];
    let files = fields.into_iter().filter_map(|(pointer, file)| {
        let file = file.as_deref()?;
        Some((pointer, file))
    });
    files.filter(|(_, file)| !file.is_empty())
}

/// The files that rules name.
pub(super) fn files(rules: &FilterRules) -> Files {
    let file = |pointer| {
        let mut named = named(rules);
        let found = named.find(|(field, _)| *field == pointer);
        found.map(|(_, file)| PathBuf::from(file))
    };
    Files {
        country: file("/country_file"),
        asn: file("/asn_file"),
    }
}

/// Reads the files that rules name.
///
/// # Errors
/// The one that cannot be read or is no such file, about its field.
pub(super) fn open(rules: &FilterRules) -> Result<Arc<Atlas>> {
    let unusable = |error: AtlasError| {
        let is_it = |(_, file): &(&str, &str)| error.path() == Some(Path::new(file));
        match named(rules).find(is_it) {
            Some((pointer, _)) => {
                let mend = "name a file in the MaxMind DB format";
                let problem = Problem::new(pointer, error.to_string(), mend);
                ControlError::Invalid(vec![problem])
            }
            None => ControlError::Limit(error.to_string()),
        }
    };
    Atlas::open(&files(rules)).map(Arc::new).map_err(unusable)
}

/// What stands against it that a file is read.
fn objection(path: &Path, databases: &Path) -> Option<(String, String)> {
    let name = path.display();
    if path.parent() != Some(databases) || path.file_name().is_none() {
        let mend = "put it there, or name it in the configuration file";
        let message = format!("{name} is not in {}", databases.display());
        return Some((message, mend.to_owned()));
    }
    match std::fs::metadata(path) {
        Ok(about) if about.is_file() => None,
        Ok(_) => Some((format!("{name} is no regular file"), String::new())),
        Err(error) => Some((format!("{name}: {error}"), String::new())),
    }
}

impl Director {
    /// The atlas of the files that rules name, if those are others than now.
    ///
    /// # Errors
    /// As [`open`].
    pub(super) fn other_atlas(&self, rules: &FilterRules) -> Result<Option<Arc<Atlas>>> {
        let present = Arc::clone(&self.filters.lock().regional.atlas);
        let is_other = *present.files() != files(rules);
        is_other.then(|| open(rules)).transpose()
    }

    /// The same, or if one of them has changed since it was read.
    ///
    /// # Errors
    /// As [`open`].
    pub(super) fn newer_atlas(&self, rules: &FilterRules) -> Result<Option<Arc<Atlas>>> {
        match self.has_old_atlas() {
            true => open(rules).map(Some),
            false => self.other_atlas(rules),
        }
    }

    /// `rules` with the files of now where they say nothing of them.
    pub(super) fn with_present_files(&self, rules: FilterRules) -> FilterRules {
        rules.with_files_of(&self.filters.lock().wanted)
    }

    /// Sets where the files are that the API may name.
    pub(super) fn set_databases(&self, databases: PathBuf) {
        self.filters.lock().databases = databases;
    }

    /// Refuses a file that is not among those, is no regular one, and is named neither now nor by the
    /// configuration file.
    pub(super) fn refuse_files(&self, rules: &FilterRules) -> Result<()> {
        let (databases, present) = {
            let filters = self.filters.lock();
            (filters.databases.clone(), filters.wanted.clone())
        };
        let configured = self.configured_filter().unwrap_or_default();
        let is_known = |file: &str| {
            let known = named(&present).chain(named(&configured));
            known.into_iter().any(|(_, known)| known == file)
        };
        let unknown = named(rules).filter(|(_, file)| !is_known(file));
        let problems = unknown.filter_map(|(pointer, file)| {
            let (message, mend) = objection(Path::new(file), &databases)?;
            Some(Problem::new(pointer, message, mend))
        });
        ControlError::unless_valid(problems.collect())
    }

    /// [`Director::refuse_files`] for those of a whole configuration.
    pub(super) fn refuse_files_of(&self, wanted: &Configuration) -> Result<()> {
        let refused = wanted.filter.as_ref().map(|rules| self.refuse_files(rules));
        let refused = refused.transpose();
        refused.map(drop).map_err(|error| error.below("/filter"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_regular_files_of_one_folder_are_let_in() {
        let folder = tempfile::tempdir().unwrap();
        let databases = folder.path();
        let at = |name: &str| databases.join(name);
        std::fs::write(at("a.mmdb"), "").unwrap();
        std::fs::create_dir(at("sub")).unwrap();
        std::fs::write(at("sub/a.mmdb"), "").unwrap();
        assert_eq!(objection(&at("a.mmdb"), databases), None);
        for (path, told) in [
            (at("sub"), "is no regular file"),
            (at("b.mmdb"), "No such file"),
            (at("sub/a.mmdb"), "is not in"),
            (at("../passwd"), "is not in"),
            (at("sub/../a.mmdb"), "is not in"),
            (at(".."), "is not in"),
            (databases.to_owned(), "is not in"),
            (PathBuf::from("a.mmdb"), "is not in"),
            (PathBuf::from("/etc/shadow"), "is not in"),
            (PathBuf::from("/dev/zero"), "is not in"),
            (PathBuf::from("/"), "is not in"),
        ] {
            let (message, _) = objection(&path, databases).expect(told);
            assert!(message.contains(told), "{message}");
        }
    }

    #[test]
    fn what_cannot_be_read_is_told_about_its_field() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("secret");
        std::fs::write(&path, "root:x:0").unwrap();
        let named = |file: &str| FilterRules {
            country_file: Some(String::new()),
            asn_file: Some(file.to_owned()),
            ..FilterRules::default()
        };
        for file in [path.to_str().unwrap(), "/nowhere"] {
            let Err(ControlError::Invalid(problems)) = open(&named(file)) else {
                panic!("{file} is taken");
            };
            assert_eq!(problems[0].pointer, "/asn_file");
            assert!(!problems[0].message.contains("root"), "{problems:?}");
        }
        let none = open(&named("")).unwrap();
        assert_eq!(*none.files(), Files::default());
    }
}

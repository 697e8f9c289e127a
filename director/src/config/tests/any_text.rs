//! No text makes the reader of configurations panic.

use proptest::prelude::*;

use crate::config::Config;

/// Pieces that make texts that are nearly configurations.
fn pieces() -> impl Strategy<Value = String> {
    let piece = prop::sample::select(vec![
        "[datapath]",
        "[api]",
        "[[service]]",
        "[[service.real]]",
        "[limits]",
        "\n",
        "=",
        " ",
        "interfaces",
        "address",
        "port",
        "weight",
        "real",
        "[",
        "]",
        "{",
        "}",
        "\"eth0\"",
        "\"",
        "\"10.0.0.1\"",
        "0",
        "-1",
        "99999999999",
        "true",
        ",",
        ".",
        "é",
        "#",
        "'''",
        "memory",
        "\"1GiB\"",
        "listen",
        "frames",
        "16384",
        "protocol",
        "\"tcp\"",
    ]);
    prop::collection::vec(piece, 0..60).prop_map(|pieces| pieces.concat())
}

proptest! {
    #[test]
    fn no_text_panics(text in any::<String>()) {
        let _ = Config::parse(&text, "f");
    }

    #[test]
    fn no_near_configuration_panics(text in pieces()) {
        if let Err(errors) = Config::parse(&text, "f") {
            let lines = text.split('\n').count();
            for error in &errors.errors {
                prop_assert!(error.line.is_some_and(|line| (1..=lines).contains(&line)));
            }
            prop_assert!(!errors.errors.is_empty());
        }
    }
}

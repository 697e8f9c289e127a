use super::*;

#[test]
fn names_are_sorted_and_read_with_and_without_the_prefix() {
    let names = Sysctl::ALL.map(Sysctl::name);
    assert!(names.is_sorted());
    for (place, sysctl) in Sysctl::ALL.into_iter().enumerate() {
        assert_eq!(sysctl as usize, place);
        let full = sysctl.to_string();
        for text in [sysctl.name(), &full, &full.replace('.', "/")] {
            assert_eq!(text.parse(), Ok(sysctl));
        }
    }
    for text in [
        "",
        "net.ipv4.vs.",
        "net.ipv4.vs",
        "net.ipv4.ip_forward",
        "drop_Entry",
    ] {
        assert!(text.parse::<Sysctl>().is_err(), "{text}");
    }
}

#[test]
fn every_default_is_a_value_that_the_sysctl_takes() {
    for sysctl in Sysctl::ALL {
        let default = sysctl.default_value();
        assert_eq!(sysctl.accept(&default, &default), Ok(default), "{sysctl}");
    }
}

#[test]
fn every_sysctl_has_its_line_in_the_documentation() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/sysctl.md");
    let text = std::fs::read_to_string(path).unwrap();
    for sysctl in Sysctl::ALL {
        let default = sysctl.default_value().to_string().replace('\t', " ");
        let row = format!("| `{}` | {default} | ", sysctl.name());
        assert!(text.contains(&row), "{row}");
    }
}

/// What the kernel made of `echo`; an error leaves the value as it was.
#[test]
fn writes_are_judged_as_the_kernel_does() {
    let mut sysctls = Sysctls::default();
    for (name, written, shown) in [
        ("drop_entry", "4", "0"),
        ("drop_entry", "-1", "0"),
        ("drop_entry", "3", "3"),
        ("drop_packet", "4", "0"),
        ("drop_packet", "2", "1"),
        ("secure_tcp", "5", "0"),
        ("secure_tcp", "2", "1"),
        ("am_droprate", "0", "0"),
        ("am_droprate", "-5", "-5"),
        ("am_droprate", "0x10", "16"),
        ("am_droprate", "010", "8"),
        ("am_droprate", "08", "8"),
        ("am_droprate", "0x", "8"),
        ("am_droprate", "+7", "8"),
        ("am_droprate", "", "8"),
        ("am_droprate", "2147483647", "2147483647"),
        ("am_droprate", "2147483648", "2147483647"),
        ("am_droprate", "-2147483648", "-2147483648"),
        ("am_droprate", "99999999999999999999", "-2147483648"),
        ("amemthresh", "-1", "-1"),
        ("sync_threshold", "3 50", "3\t50"),
        ("sync_threshold", "50 3", "3\t50"),
        ("sync_threshold", "5", "5\t50"),
        ("sync_threshold", "0 0", "0\t0"),
        ("sync_threshold", "-1 5", "0\t0"),
        ("sync_threshold", "3 3", "0\t0"),
        ("sync_threshold", "3 0", "3\t0"),
        ("sync_threshold", "1 2 3", "3\t0"),
        ("sync_ports", "0", "1"),
        ("sync_ports", "3", "1"),
        ("sync_ports", "4", "4"),
        ("sync_version", "0", "0"),
        ("sync_version", "2", "0"),
        ("conn_reuse_mode", "5", "5"),
        ("expire_nodest_conn", "2", "2"),
        ("expire_nodest_conn", "-1", "-1"),
        ("nat_icmp_send", "7", "7"),
        ("sync_retries", "9", "0"),
        ("sync_retries", "4", "0"),
        ("sync_retries", "3", "3"),
        ("sync_persist_mode", "9", "9"),
        ("cache_bypass", "x", "0"),
        ("sync_refresh_period", "10", "10"),
        ("sync_refresh_period", "9999999", "10"),
        ("sync_qlen_max", "5000000000", "5000000000"),
        ("sync_sock_size", "-1", "-1"),
        ("run_estimation", "2", "2"),
        ("est_nice", "-21", "0"),
        ("est_nice", "-20", "-20"),
        ("est_cpulist", "0-3,8", "0-3,8"),
        ("est_cpulist", "3-0", "0-3,8"),
        ("est_cpulist", "a", "0-3,8"),
        ("conn_lfactor", "9", "-4"),
    ] {
        let sysctl: Sysctl = name.parse().unwrap();
        let before = sysctls.get(sysctl).to_string();
        let done = sysctls.set(sysctl, &Value::Text(written.to_owned()));
        assert_eq!(sysctls.get(sysctl).to_string(), shown, "{name} {written:?}");
        assert!(done.is_ok() || before == shown, "{name} {written:?}");
    }
}

#[test]
fn a_value_is_the_same_in_every_form() {
    for (json, form) in [
        ("7", Value::Number(7)),
        ("[3,50]", Value::Pair([3, 50])),
        ("\"7\"", Value::Text("7".to_owned())),
    ] {
        assert_eq!(serde_json::from_str::<Value>(json).unwrap(), form);
        assert_eq!(serde_json::to_string(&form).unwrap(), json);
    }
    let mut sysctls = Sysctls::default();
    for form in [Value::Number(7), Value::Text(" 7\n".to_owned())] {
        sysctls.set(Sysctl::NatIcmpSend, &form).unwrap();
        assert_eq!(sysctls.number(Sysctl::NatIcmpSend), 7);
    }
    assert!(
        sysctls
            .set(Sysctl::NatIcmpSend, &Value::Pair([1, 2]))
            .is_err()
    );
}

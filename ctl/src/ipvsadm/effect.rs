//! What the kernel would have, told by a tool that watches the health of real servers: weights in
//! force, nobody who is out of service, and the sorry server when it has its turn.

use adminapi::model::ServiceView;

/// Makes a service look so.
pub(super) fn show(service: &mut ServiceView) {
    service.reals.retain(|real| !real.is_out());
    for real in &mut service.reals {
        real.weight = real.effective_weight();
    }
    service.reals.extend(service.sorry.take());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn health_shows_as_weights_and_absence() {
        let real = |last: u8, condition: serde_json::Value| {
            serde_json::json!({"address": format!("10.0.2.{last}"), "port": 80, "weight": 3, "method": "nat",
                "active": 0, "inactive": 0, "condition": condition, "stats": {}})
        };
        let condition = |weight: u32, removed: bool| {
            serde_json::json!({"state": "down", "since": 0, "reason": "", "weight": weight, "percent": 0,
                "removed": removed})
        };
        let mut service: ServiceView = serde_json::from_value(serde_json::json!({
            "id": "tcp:192.0.2.10:80", "protocol": "tcp", "address": "192.0.2.10", "port": 80,
            "scheduler": "wrr", "stats": {},
            "reals": [real(1, condition(0, false)), real(2, condition(0, true)),
                real(3, condition(2, false)), real(4, serde_json::Value::Null)],
            "sorry": real(9, serde_json::Value::Null),
        }))
        .unwrap();
        show(&mut service);
        let shown: Vec<_> = service
            .reals
            .iter()
            .map(|r| (r.endpoint().to_string(), r.weight))
            .collect();
        let expected = [
            ("10.0.2.1:80", 0),
            ("10.0.2.3:80", 2),
            ("10.0.2.4:80", 3),
            ("10.0.2.9:80", 3),
        ];
        assert_eq!(shown, expected.map(|(at, weight)| (at.to_owned(), weight)));
    }
}

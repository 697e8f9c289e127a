//! Many changes in one request.

use axum::Json;

use super::ask::Ask;
use super::condition::Condition;
use super::extract::Body;
use super::openapi::Refusals;
use crate::control::Control;
use crate::error::ControlError;
use crate::failure::Failure;
use crate::model::Change;
use crate::problem::ProblemDocument;
use crate::validate::validate_change;

/// Makes changes in their order, each by itself
///
/// The answer has, for each change in its place, `null` or what went wrong.
#[utoipa::path(post, path = "/v1/changes", tag = "services", request_body = Vec<Change>,
    responses((status = 200, body = Vec<Option<ProblemDocument>>), Refusals))]
pub(super) async fn make_all(
    ask: Ask,
    condition: Condition,
    Body(changes): Body<Vec<Change>>,
) -> Result<Json<Vec<Option<ProblemDocument>>>, Failure> {
    let misshapen = changes.iter().enumerate().flat_map(|(place, change)| {
        let found = change.misshapen().into_iter();
        found.map(move |problem| problem.below(&format!("/{place}")))
    });
    ControlError::unless_valid(misshapen.collect())?;
    let judge = |change: &Change| ControlError::unless_valid(validate_change(change));
    let judged: Vec<_> = changes.iter().map(judge).collect();
    let sound = changes.into_iter().zip(&judged);
    let sound = sound.filter_map(|(change, judged)| judged.is_ok().then_some(change));
    let sound = sound.collect();
    let make = |control: &dyn Control| Ok(control.make_all(sound));
    let made = ask.change(condition, |control| control.services(), make);
    let mut made = made.await?.into_iter();
    let done = judged.into_iter().map(|judged| {
        // One answer for each change that was asked for.
        let made = judged.and_then(|()| made.next().unwrap_or(Ok(())));
        made.err().map(|error| Failure::from(error).into())
    });
    Ok(Json(done.collect()))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use serde_json::{Value, json};

    use super::super::router;
    use super::super::tests::{ask, ok};
    use crate::fake::Fake;

    const WEB: &str = "tcp:10.0.0.1:80";

    fn service(address: &str) -> Value {
        json!({"add_service": {"protocol": "tcp", "address": address, "port": 80}})
    }

    fn real(address: &str) -> Value {
        json!({"add_real": {"service": WEB, "real": {"address": address, "port": 80}}})
    }

    #[tokio::test]
    async fn each_change_is_made_by_itself_and_answered_in_its_place() {
        let router = router(Arc::new(Fake::default()));
        let changes = json!([
            service("10.0.0.1"),
            real("10.0.1.1"),
            service("10.0.0.1"),
            service("0.0.0.0"),
            {"change_real": {"service": WEB, "real": "10.0.1.1:80", "patch": {"weight": 5}}},
            {"change_service": {"service": WEB, "patch": {"scheduler": "rr"}}},
            {"remove_real": {"service": WEB, "real": "10.0.1.2:80"}},
            {"remove_service": {"service": "tcp:10.0.0.9:80"}},
        ]);
        let answers = ok(&router, "POST /v1/changes", changes, 200).await;
        let kind = |answer: &Value| answer["type"].as_str().map(str::to_owned);
        let kinds: Vec<_> = answers.as_array().unwrap().iter().map(kind).collect();
        let problem = |name: &str| Some(format!("urn:bulwark:problem:{name}"));
        assert_eq!(
            kinds,
            [
                None,
                None,
                problem("service-exists"),
                problem("invalid"),
                None,
                None,
                problem("no-such-real"),
                problem("no-such-service"),
            ]
        );
        let path = format!("GET /v1/services/{WEB}");
        let made = ok(&router, &path, Value::Null, 200).await;
        assert_eq!(
            (&made["scheduler"], &made["reals"][0]["weight"]),
            (&json!("rr"), &json!(5))
        );
        let flush = json!([{"remove_services": {}}]);
        assert_eq!(
            ok(&router, "POST /v1/changes", flush, 200).await,
            json!([null])
        );
        assert_eq!(
            ok(&router, "GET /v1/services", Value::Null, 200).await,
            json!([])
        );
    }

    #[tokio::test]
    async fn what_is_no_change_makes_none() {
        let router = router(Arc::new(Fake::default()));
        let misshapen = json!({"change_service": {"service": WEB,
            "patch": {"health": {"check": {"interval": []}}}}});
        for (wrong, pointer) in [
            (json!({"paint_service": {}}), "/1"),
            (misshapen, "/1/change_service/patch/health/check/interval"),
        ] {
            let changes = json!([service("10.0.0.1"), wrong]);
            let got = ask(&router, "POST /v1/changes", changes).await;
            assert_eq!(got.status.as_u16(), 422, "{}", got.body);
            assert_eq!(got.body["errors"][0]["pointer"], pointer, "{}", got.body);
            assert_eq!(
                ok(&router, "GET /v1/services", Value::Null, 200).await,
                json!([])
            );
        }
    }
}

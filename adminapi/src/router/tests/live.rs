//! Streams, and what a client that resumes gets.

use std::time::Duration;

use http_body_util::BodyExt;
use tokio::sync::watch;

use super::*;

/// The messages of a stream, one by one.
struct Stream {
    body: Body,
    text: String,
}

impl Stream {
    async fn open(api: &Router, path: &str, last: Option<&str>) -> Self {
        let request = Request::get(path).header(header::ACCEPT, "text/event-stream");
        let request = match last {
            Some(last) => request.header("Last-Event-ID", last),
            None => request,
        };
        let request = request.body(Body::empty()).unwrap();
        let response = api.clone().oneshot(request).await.unwrap();
        assert_eq!(response.status(), StatusCode::OK);
        assert_eq!(
            response.headers()[header::CONTENT_TYPE],
            "text/event-stream"
        );
        Self {
            body: response.into_body(),
            text: String::new(),
        }
    }

    /// The next message, without its data.
    async fn next(&mut self) -> String {
        loop {
            if let Some((message, rest)) = self.text.split_once("\n\n") {
                let lines = message
                    .lines()
                    .filter(|line| !line.starts_with("data: {\"id"));
                let message = lines.collect::<Vec<_>>().join(" ");
                self.text = rest.to_owned();
                return message;
            }
            let frame = tokio::time::timeout(Duration::from_secs(30), self.body.frame()).await;
            let data = frame
                .expect("no message")
                .unwrap()
                .unwrap()
                .into_data()
                .unwrap();
            self.text.push_str(std::str::from_utf8(&data).unwrap());
        }
    }
}

fn api() -> (Router, watch::Sender<u64>, watch::Sender<u64>) {
    let fake = Fake::default();
    let (happened, sampled) = (fake.happened.clone(), fake.sampled.clone());
    (router(Arc::new(fake)), happened, sampled)
}

#[tokio::test]
async fn many_events_are_told_a_few_at_a_time_and_none_is_lost() {
    let (api, happened, _) = api();
    happened.send_replace(256);
    let mut stream = Stream::open(&api, "/v1/events", None).await;
    for id in 1..=257 {
        let message = stream.next().await;
        assert_eq!(message, format!("id: {id} event: defense_level"));
        if id == 256 {
            happened.send_replace(257);
        }
    }
}

#[tokio::test]
async fn events_are_told_as_they_happen_and_from_where_a_client_was() {
    let (api, happened, _) = api();
    happened.send_replace(2);
    let mut stream = Stream::open(&api, "/v1/events", None).await;
    assert_eq!(stream.next().await, "id: 1 event: defense_level");
    assert_eq!(stream.next().await, "id: 2 event: defense_level");
    happened.send_replace(3);
    assert_eq!(stream.next().await, "id: 3 event: defense_level");
    let mut resumed = Stream::open(&api, "/v1/events?since=1", Some("2")).await;
    assert_eq!(resumed.next().await, "id: 3 event: defense_level");
    let mut of_another_life = Stream::open(&api, "/v1/events", Some("900")).await;
    assert_eq!(of_another_life.next().await, "id: 1 event: defense_level");
}

#[tokio::test]
async fn a_client_that_was_too_slow_hears_what_it_missed() {
    let (api, happened, _) = api();
    happened.send_replace(1);
    let mut stream = Stream::open(&api, "/v1/events", None).await;
    assert_eq!(stream.next().await, "id: 1 event: defense_level");
    happened.send_replace(1000);
    assert_eq!(stream.next().await, "event: missed data: {\"missed\":743}");
    assert_eq!(stream.next().await, "id: 745 event: defense_level");
}

#[tokio::test]
async fn a_client_hears_of_each_gap() {
    let fake = Fake {
        forgotten: vec![2, 3, 5],
        ..Fake::default()
    };
    fake.happened.send_replace(6);
    let api = router(Arc::new(fake));
    let mut stream = Stream::open(&api, "/v1/events", None).await;
    assert_eq!(stream.next().await, "id: 1 event: defense_level");
    assert_eq!(stream.next().await, "event: missed data: {\"missed\":2}");
    assert_eq!(stream.next().await, "id: 4 event: defense_level");
    assert_eq!(stream.next().await, "event: missed data: {\"missed\":1}");
    assert_eq!(stream.next().await, "id: 6 event: defense_level");
}

#[tokio::test]
async fn samples_come_from_now_on_or_from_where_a_client_was() {
    let (api, _, sampled) = api();
    sampled.send_replace(100);
    let mut now = Stream::open(&api, "/v1/stats/stream", None).await;
    let mut each_third = Stream::open(&api, "/v1/stats/stream?interval=3", Some("96")).await;
    assert_eq!(each_third.next().await, "id: 99 event: stats");
    let mut ahead = Stream::open(&api, "/v1/stats/stream", Some("900")).await;
    let mut before = Stream::open(&api, "/v1/stats/stream", Some("30")).await;
    assert_eq!(before.next().await, "event: missed data: {\"missed\":10}");
    assert_eq!(before.next().await, "id: 41 event: stats");
    sampled.send_replace(102);
    assert_eq!(now.next().await, "id: 101 event: stats");
    assert_eq!(ahead.next().await, "id: 101 event: stats");
    assert_eq!(each_third.next().await, "id: 102 event: stats");
    for query in ["interval=0", "interval=61"] {
        let line = format!("GET /v1/stats/stream?{query}");
        no(&api, &line, Value::Null, ProblemKind::Invalid).await;
    }
}

#[tokio::test]
async fn a_number_that_is_none_is_refused() {
    let (api, ..) = api();
    let request = Request::get("/v1/events").header("Last-Event-ID", "x");
    let request = request.body(Body::empty()).unwrap();
    let got = received(api.oneshot(request).await.unwrap()).await;
    assert_problem(&got, ProblemKind::BadRequest, "x");
}

#[tokio::test]
async fn metrics_are_text() {
    let (api, ..) = api();
    let request = Request::get("/metrics").body(Body::empty()).unwrap();
    let response = api.oneshot(request).await.unwrap();
    let kind = &response.headers()[header::CONTENT_TYPE];
    assert_eq!(kind, "text/plain; version=0.0.4; charset=utf-8");
    let bytes = to_bytes(response.into_body(), usize::MAX).await.unwrap();
    assert!(bytes.starts_with(b"# HELP bulwark_"));
}

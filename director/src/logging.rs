//! The log: lines of text or JSON on standard error, and no flood of them. One message goes out a
//! bounded number of times in an interval; then it is said how many more there were.

use std::collections::HashMap;
use std::env::VarError;
use std::io::IsTerminal;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use tracing::callsite::Identifier;
use tracing::{Event, Level, Subscriber, error, warn};
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::{Context, SubscriberExt as _};
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{EnvFilter, Layer, fmt};

use crate::config::{Log, LogFormat};

/// What is logged at every level: who has changed what, and, as a warning, who was not let in.
const AUDIT: &str = "audit";

/// Where the log speaks of itself.
const SELF: &str = "log";

/// Answers to whoever asks by a signal: as many as there are questions.
pub const ANSWER: &str = "answer";

/// So many lines of one message in an interval.
const MOST: u32 = 20;

/// The interval.
const INTERVAL: Duration = Duration::from_secs(10);

static LIMITER: OnceLock<Limiter> = OnceLock::new();

/// Starts logging to standard error. `RUST_LOG` goes before what is configured, if it can be read.
pub fn start(log: &Log) {
    let (filter, unread) = match said().and_then(|said| filter(&said, log)) {
        Ok(filter) => (filter, None),
        Err(why) => (configured(log), Some(why)),
    };
    tracing_subscriber::registry()
        .with(filter)
        .with(Bounded(LIMITER.get_or_init(Limiter::default)))
        .with(lines(log.format, std::io::stderr))
        .init();
    if let Some(why) = unread {
        let level = Level::from(log.level);
        // Whatever the level is, it goes out.
        error!(target: SELF, "RUST_LOG is passed over, and the configured level {level} holds: {why}");
    }
}

/// What goes out, as lines; in colours where somebody looks.
fn lines<S, W>(format: LogFormat, out: W) -> Box<dyn Layer<S> + Send + Sync>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
{
    let lines = fmt::layer().with_writer(out);
    match format {
        LogFormat::Text => lines.with_ansi(std::io::stderr().is_terminal()).boxed(),
        LogFormat::Json => lines.json().boxed(),
    }
}

/// What the environment says; nothing when it says nothing.
fn said() -> Result<String, String> {
    match std::env::var(EnvFilter::DEFAULT_ENV) {
        Ok(said) => Ok(said),
        Err(VarError::NotPresent) => Ok(String::new()),
        Err(VarError::NotUnicode(said)) => {
            Err(format!("{:?} is not UTF-8", said.to_string_lossy()))
        }
    }
}

/// What goes out: what is `said` in the environment, else what is configured; and in either case the
/// audit.
///
/// # Errors
/// What is said cannot be read.
fn filter(said: &str, log: &Log) -> Result<EnvFilter, String> {
    match said.trim() {
        "" => Ok(configured(log)),
        said => EnvFilter::try_new(audited(said)).map_err(|error| format!("{said:?}: {error}")),
    }
}

fn configured(log: &Log) -> EnvFilter {
    EnvFilter::new(audited(Level::from(log.level).as_str()))
}

/// `levels`, and the audit: of two levels for one target the last holds.
fn audited(levels: &str) -> String {
    format!("{levels},{AUDIT}=info")
}

/// Says which messages were held back in intervals that have ended. To be called about once a
/// second.
pub fn tell_held_back() {
    let held = LIMITER
        .get()
        .map(|limiter| limiter.held_back(Instant::now()));
    for (place, count) in held.unwrap_or_default() {
        warn!(target: SELF, count, "more like the last one from {place} were not logged");
    }
}

/// Holds back what the limiter says.
struct Bounded(&'static Limiter);

impl<S: Subscriber> Layer<S> for Bounded {
    fn event_enabled(&self, event: &Event<'_>, _: Context<'_, S>) -> bool {
        let about = event.metadata();
        // Nobody has to be let in to be refused as often as he likes: of the audit only changes go
        // out whatever their number.
        let is_change = about.target() == AUDIT && *about.level() == Level::INFO;
        if is_change || [SELF, ANSWER].contains(&about.target()) {
            return true;
        }
        let place = (about.file().unwrap_or_default(), about.line().unwrap_or(0));
        self.0.admits(about.callsite(), place, Instant::now())
    }
}

/// A line of the source.
type Place = (&'static str, u32);

/// One message, by the place in the source that says it.
#[derive(Debug)]
struct Message {
    place: Place,
    since: Instant,
    count: u32,
}

/// How often each message was said in its interval.
#[derive(Debug, Default)]
struct Limiter {
    messages: Mutex<HashMap<Identifier, Message>>,
}

impl Limiter {
    /// Whether one more goes out at `now`.
    fn admits(&self, callsite: Identifier, place: Place, now: Instant) -> bool {
        let mut messages = self.messages.lock();
        let message = messages.entry(callsite).or_insert(Message {
            place,
            since: now,
            count: 0,
        });
        message.count = message.count.saturating_add(1);
        message.count <= MOST
    }

    /// The messages of which some were held back in an interval that is over at `now`, with how
    /// many. Their next interval begins with the next one.
    fn held_back(&self, now: Instant) -> Vec<(String, u32)> {
        let mut held = Vec::new();
        self.messages.lock().retain(|_, message| {
            let is_over = now.duration_since(message.since) >= INTERVAL;
            if is_over && message.count > MOST {
                let (file, line) = message.place;
                held.push((format!("{file}:{line}"), message.count - MOST));
            }
            !is_over
        });
        held
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::LogLevel;

    #[test]
    fn the_same_message_goes_out_a_bounded_number_of_times() {
        let limiter: &'static Limiter = Box::leak(Box::default());
        let lines = Lines::default();
        let subscriber = tracing_subscriber::registry()
            .with(Bounded(limiter))
            .with(lines.clone());
        tracing::subscriber::with_default(subscriber, || {
            for number in 0..50 {
                warn!(number, "the same");
                tracing::info!(target: AUDIT, "a change");
                warn!(target: AUDIT, "not let in");
            }
            warn!("another");
        });
        assert_eq!(*lines.0.lock(), MOST + 50 + MOST + 1);
        let later = Instant::now() + INTERVAL;
        let held = limiter.held_back(later);
        assert_eq!(held.len(), 2, "{held:?}");
        for (place, count) in held {
            assert!(place.contains("logging.rs:"), "{place}");
            assert_eq!(count, 50 - MOST);
        }
        assert_eq!(limiter.held_back(later), []);
    }

    #[test]
    fn the_audit_goes_out_whatever_the_environment_says() {
        let with = |level| Log {
            level,
            ..Log::default()
        };
        // Of an audit of two lines, and of a line of each level: what goes out.
        for (said, level, count) in [
            ("", LogLevel::Error, 2 + 1),
            ("  ", LogLevel::Debug, 2 + 4),
            ("error", LogLevel::Debug, 2 + 1),
            ("warn", LogLevel::Info, 2 + 2),
            ("debug", LogLevel::Info, 2 + 4),
            ("off", LogLevel::Info, 2),
            ("bulwark=debug", LogLevel::Info, 2),
            ("audit=off,info", LogLevel::Info, 2 + 3),
            ("audit=trace,", LogLevel::Info, 2),
            ("no=level", LogLevel::Warn, 2 + 2),
        ] {
            let lines = Lines::default();
            let filter = filter(said, &with(level));
            assert_eq!(filter.is_err(), said == "no=level", "{said:?}");
            let subscriber = tracing_subscriber::registry()
                .with(filter.unwrap_or_else(|_| configured(&with(level))))
                .with(lines.clone());
            tracing::subscriber::with_default(subscriber, || {
                tracing::info!(target: AUDIT, "a change");
                warn!(target: AUDIT, "not let in");
                tracing::error!("one");
                warn!("two");
                tracing::info!("three");
                tracing::debug!("four");
            });
            assert_eq!(*lines.0.lock(), count, "{said:?}");
        }
    }

    #[test]
    fn json_is_an_object_a_line_whatever_the_message_is() {
        let out = Out::default();
        let writer = out.clone();
        let lines = lines(LogFormat::Json, move || writer.clone());
        tracing::subscriber::with_default(tracing_subscriber::registry().with(lines), || {
            warn!(target: AUDIT, what = "PUT /v1/defense", level = 2, "changed");
            tracing::info!("two\nlines, \"quoted\" \u{1b}[31m");
        });
        let text = String::from_utf8(out.0.lock().clone()).unwrap();
        let lines: Vec<serde_json::Value> = text
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect();
        let fields =
            serde_json::json!({"message": "changed", "what": "PUT /v1/defense", "level": 2});
        assert_eq!(lines.len(), 2, "{text}");
        assert_eq!(lines[0]["fields"], fields);
        assert_eq!(
            (&lines[0]["level"], &lines[0]["target"]),
            (&"WARN".into(), &AUDIT.into())
        );
        assert!(lines[0]["timestamp"].is_string());
        let message = &lines[1]["fields"]["message"];
        assert_eq!(message, "two\nlines, \"quoted\" \u{1b}[31m");
    }

    /// Keeps what is written.
    #[derive(Clone, Default)]
    struct Out(std::sync::Arc<Mutex<Vec<u8>>>);

    impl std::io::Write for Out {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().write(bytes)
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    /// Counts the lines that get through.
    #[derive(Clone, Default)]
    struct Lines(std::sync::Arc<Mutex<u32>>);

    impl<S: Subscriber> Layer<S> for Lines {
        fn on_event(&self, _: &Event<'_>, _: Context<'_, S>) {
            *self.0.lock() += 1;
        }
    }
}

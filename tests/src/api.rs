//! The director's API over its unix socket, blocking: one request, one connection.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use adminapi::model::{Connection, Real, Service, ServiceId, ServiceView};
use anyhow::{Context, Result, bail};
use serde_json::Value;

const PATIENCE: Duration = Duration::from_secs(10);

/// An answer of the director.
#[derive(Clone, Debug, PartialEq)]
pub struct Answer {
    /// HTTP status.
    pub status: u16,
    /// Body; null when there is none.
    pub body: Value,
}

/// Where the API is.
#[derive(Clone, Debug)]
pub struct Api {
    socket: PathBuf,
}

impl Api {
    /// The API behind `socket`.
    pub fn new(socket: &Path) -> Self {
        Self {
            socket: socket.to_owned(),
        }
    }

    /// Asks, whatever the answer.
    ///
    /// # Errors
    /// When nobody answers, or not in HTTP.
    pub fn ask(&self, method: &str, path: &str, body: &Value) -> Result<Answer> {
        let mut stream = UnixStream::connect(&self.socket)
            .with_context(|| format!("no director at {}", self.socket.display()))?;
        stream.set_read_timeout(Some(PATIENCE))?;
        let body = if body.is_null() {
            String::new()
        } else {
            body.to_string()
        };
        write!(
            stream,
            "{method} {path} HTTP/1.0\r\nhost: director\r\ncontent-type: application/json\r\n\
             content-length: {}\r\n\r\n{body}",
            body.len()
        )?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        parse(&answer).with_context(|| format!("{method} {path}: not an HTTP answer: {answer}"))
    }

    /// The body of `GET path`.
    ///
    /// # Errors
    /// When the answer is not a success.
    pub fn get(&self, path: &str) -> Result<Value> {
        self.must("GET", path, &Value::Null)
    }

    fn must(&self, method: &str, path: &str, body: &Value) -> Result<Value> {
        let answer = self.ask(method, path, body)?;
        if !(200..300).contains(&answer.status) {
            bail!("{method} {path}: {}: {}", answer.status, answer.body);
        }
        Ok(answer.body)
    }

    /// Whether the director says that it is well.
    ///
    /// # Errors
    /// When it does not.
    pub fn health(&self) -> Result<()> {
        self.get("/v1/health").map(drop)
    }

    /// A service as it is now.
    ///
    /// # Errors
    /// When there is no such service.
    pub fn service(&self, id: ServiceId) -> Result<ServiceView> {
        Ok(serde_json::from_value(self.get(&service_path(id))?)?)
    }

    /// Adds a service with its real servers.
    ///
    /// # Errors
    /// When it is refused.
    pub fn add_service(&self, service: &Service) -> Result<()> {
        self.must("POST", "/v1/services", &serde_json::to_value(service)?)
            .map(drop)
    }

    /// Replaces the definition of a service.
    ///
    /// # Errors
    /// When it is refused.
    pub fn put_service(&self, service: &Service) -> Result<()> {
        let path = service_path(service.id());
        self.must("PUT", &path, &serde_json::to_value(service)?)
            .map(drop)
    }

    /// Removes a service.
    ///
    /// # Errors
    /// When there is no such service.
    pub fn remove_service(&self, id: ServiceId) -> Result<()> {
        self.must("DELETE", &service_path(id), &Value::Null)
            .map(drop)
    }

    /// Adds a real server.
    ///
    /// # Errors
    /// When it is refused.
    pub fn add_real(&self, id: ServiceId, real: &Real) -> Result<()> {
        let path = format!("{}/reals", service_path(id));
        self.must("POST", &path, &serde_json::to_value(real)?)
            .map(drop)
    }

    /// Removes a real server.
    ///
    /// # Errors
    /// When there is no such real server.
    pub fn remove_real(&self, id: ServiceId, real: std::net::SocketAddr) -> Result<()> {
        let path = format!("{}/reals/{}", service_path(id), escape(&real.to_string()));
        self.must("DELETE", &path, &Value::Null).map(drop)
    }

    /// The first connections of the table, at most 1,000.
    ///
    /// # Errors
    /// When the answer is not a list of connections.
    pub fn connections(&self) -> Result<Vec<Connection>> {
        let page = self.get("/v1/connections?limit=1000")?;
        let list = page.get("connections").unwrap_or(&page);
        Ok(serde_json::from_value(list.clone())?)
    }
}

fn service_path(id: ServiceId) -> String {
    format!("/v1/services/{}", escape(&id.to_string()))
}

/// Brackets are not legal in the path of a URL (RFC 3986, 3.3).
fn escape(text: &str) -> String {
    text.replace('[', "%5B").replace(']', "%5D")
}

fn parse(answer: &str) -> Option<Answer> {
    let (head, body) = answer.split_once("\r\n\r\n")?;
    let status = head.split_whitespace().nth(1)?.parse().ok()?;
    let body = match body {
        "" => Value::Null,
        text => serde_json::from_str(text).unwrap_or_else(|_| Value::String(text.to_owned())),
    };
    Some(Answer { status, body })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_has_a_status_and_a_body() {
        let answer = parse("HTTP/1.1 404 Not Found\r\na: b\r\n\r\n{\"title\":\"no\"}").unwrap();
        assert_eq!(answer.status, 404);
        assert_eq!(answer.body["title"], "no");
        assert_eq!(
            parse("HTTP/1.1 204 No Content\r\n\r\n").unwrap().body,
            Value::Null
        );
        assert_eq!(parse("nonsense"), None);
    }
}

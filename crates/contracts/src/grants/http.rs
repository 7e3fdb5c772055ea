//! Just enough of an HTTP client: what is sent is exactly what was said, and nothing is added that a grant might bind.

use http::Method;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// An answer.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: u16,
    /// Everything behind the status line, as text.
    pub(super) text: String,
}

impl Answer {
    pub(super) fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }

    /// The text of the first XML element of this name.
    pub(super) fn element(&self, name: &str) -> Option<&str> {
        let (_, behind) = self.text.split_once(&format!("<{name}>"))?;
        behind.split_once(&format!("</{name}>")).map(|(it, _)| it)
    }

    /// A header's value.
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        let (head, _) = self.text.split_once("\r\n\r\n")?;
        head.lines().find_map(|line| {
            let (found, value) = line.split_once(':')?;
            found.eq_ignore_ascii_case(name).then(|| value.trim())
        })
    }
}

/// Sends a request on a connection of its own. `Host` is added, and `Content-Length` unless it is said.
pub(super) async fn send(
    method: &Method,
    url: &str,
    headers: &[(String, String)],
    body: &[u8],
) -> Answer {
    let rest = url.strip_prefix("http://").unwrap();
    let (host, target) = match rest.find(['/', '?']) {
        Some(at) => rest.split_at(at),
        None => (rest, "/"),
    };
    let mut head = format!("{method} {target} HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n");
    let has_length = headers
        .iter()
        .any(|(name, _)| name.eq_ignore_ascii_case("content-length"));
    if !has_length {
        head.push_str(&format!("content-length: {}\r\n", body.len()));
    }
    for (name, value) in headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    head.push_str("\r\n");
    let mut connection = TcpStream::connect(host).await.unwrap();
    connection.write_all(head.as_bytes()).await.unwrap();
    // It may be refused before all of it is there.
    drop(connection.write_all(body).await);
    let mut answer = Vec::new();
    let read = connection.read_to_end(&mut answer).await;
    let text = String::from_utf8_lossy(&answer);
    let (status, text) = text
        .split_once("\r\n")
        .unwrap_or_else(|| panic!("{method} {host}: no answer: {read:?}"));
    let status = status.split(' ').nth(1).unwrap().parse().unwrap();
    Answer {
        status,
        text: text.to_owned(),
    }
}

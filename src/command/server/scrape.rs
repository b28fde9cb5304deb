//! What a scraper of metrics asks for, over HTTP/1.1: one request, one answer, then the connection is closed. Knows nothing of
//! the fields: INFO says them, `stats::metrics` writes them down.

use crate::command::ctx::Ctx;
use crate::session::mode;
use crate::stats::{info, metrics};

/// Header lines that a request may have.
const MOST_HEADERS: usize = 64;

/// Answers a request that is whole, and closes after it; `false` if more of it must come.
pub fn answer(cx: &mut Ctx<'_>, bytes: &[u8]) -> bool {
    let mut headers = [httparse::EMPTY_HEADER; MOST_HEADERS];
    let mut request = httparse::Request::new(&mut headers);
    let (status, body) = match request.parse(bytes) {
        Ok(httparse::Status::Partial) => return false,
        Ok(httparse::Status::Complete(_)) => {
            let path = request.path.unwrap_or_default();
            match (request.method.unwrap_or_default(), path.split('?').next().unwrap_or_default()) {
                ("GET" | "HEAD", "/metrics") => ("200 OK", text(cx)),
                ("GET" | "HEAD", _) => ("404 Not Found", "The metrics are at /metrics\n".to_owned()),
                _ => ("405 Method Not Allowed\r\nAllow: GET, HEAD", "Only GET and HEAD are answered\n".to_owned()),
            }
        }
        Err(error) => {
            log::debug!("A request for metrics is not HTTP: {error}");
            ("400 Bad Request", "This is not HTTP\n".to_owned())
        }
    };
    let shown = if request.method == Some("HEAD") { "" } else { &body };
    let (kind, len) = (metrics::MEDIA_TYPE, body.len());
    let head =
        format!("HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {len}\r\nConnection: close\r\n\r\n");
    cx.reply.outbox().extend(head.as_bytes());
    cx.reply.outbox().extend(shown.as_bytes());
    cx.session.mode |= mode::CLOSE_AFTER_REPLY;
    true
}

fn text(cx: &mut Ctx<'_>) -> String {
    let memory = cx.memory_figures();
    metrics::render(&info::render(&info::wanted(&[b"everything"]), &cx.info_source(Some(memory))))
}

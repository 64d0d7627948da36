//! HTTP as far as a benchmark needs it: a request that is written as it
//! stands, and the body of its answer. A client library would cost more than
//! the servers that it measures.

use anyhow::{Context as _, Result, bail, ensure};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// More than any answer of a benchmark.
const LARGEST_ANSWER: usize = 1 << 20;

/// A connection that stays open.
pub struct Connection {
    stream: TcpStream,
    read: Vec<u8>,
}

/// Where the body of an answer ends.
#[derive(Debug, PartialEq, Eq)]
enum Framing {
    Length(usize),
    Chunked,
}

impl Connection {
    /// Opens one.
    pub async fn open(address: &str) -> Result<Self> {
        let stream = TcpStream::connect(address)
            .await
            .with_context(|| format!("connecting to {address}"))?;
        stream.set_nodelay(true)?;
        Ok(Self {
            stream,
            read: Vec::with_capacity(16 << 10),
        })
    }

    /// Sends `request` as it stands; the status and what follows the head.
    pub async fn ask(&mut self, request: &[u8]) -> Result<(u16, &[u8])> {
        self.stream.write_all(request).await?;
        self.read.clear();
        loop {
            if let Some((status, start, end)) = whole(&self.read)? {
                return Ok((status, &self.read[start..end]));
            }
            ensure!(self.read.len() < LARGEST_ANSWER, "the answer does not end");
            let count = self.stream.read_buf(&mut self.read).await?;
            ensure!(count > 0, "the server hung up");
        }
    }
}

/// Status, and start and end of the body, once all of it is there.
fn whole(read: &[u8]) -> Result<Option<(u16, usize, usize)>> {
    let Some(head_end) = find(read, b"\r\n\r\n") else {
        return Ok(None);
    };
    let head = std::str::from_utf8(&read[..head_end])?.to_ascii_lowercase();
    let status = head
        .split(' ')
        .nth(1)
        .and_then(|code| code.parse().ok())
        .context("no status")?;
    let start = head_end + 4;
    let body = &read[start..];
    let end = match framing(&head)? {
        Framing::Length(length) => (body.len() >= length).then_some(start + length),
        Framing::Chunked => find(body, b"0\r\n\r\n").map(|_| read.len()),
    };
    Ok(end.map(|end| (status, start, end)))
}

fn framing(head: &str) -> Result<Framing> {
    for line in head.lines() {
        if let Some(length) = line.strip_prefix("content-length:") {
            return Ok(Framing::Length(length.trim().parse()?));
        }
        if line.starts_with("transfer-encoding:") && line.ends_with("chunked") {
            return Ok(Framing::Chunked);
        }
    }
    bail!("the answer does not say where it ends: {head}")
}

fn find(text: &[u8], part: &[u8]) -> Option<usize> {
    text.windows(part.len()).position(|window| window == part)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_whole_when_its_length_is_there() {
        let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}";
        assert_eq!(whole(&answer[..answer.len() - 1]).unwrap(), None);
        let (status, start, end) = whole(answer).unwrap().unwrap();
        assert_eq!((status, &answer[start..end]), (200, &b"{}"[..]));
    }

    #[test]
    fn a_chunked_answer_is_whole_with_its_last_chunk() {
        let answer = b"HTTP/1.1 401 No\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n";
        assert_eq!(whole(&answer[..answer.len() - 4]).unwrap(), None);
        assert_eq!(whole(answer).unwrap().unwrap().0, 401);
    }

    #[test]
    fn an_answer_without_an_end_is_refused() {
        assert!(whole(b"HTTP/1.1 200 OK\r\n\r\n").is_err());
    }
}

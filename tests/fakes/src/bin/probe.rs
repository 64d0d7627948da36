//! Sends one real packet and says what became of it: `open`, `refused` or
//! `timeout`, with exit code 0, 1 or 2. Proves network policies from inside pods.

use std::io;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Parser, Subcommand};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::signal::unix::{SignalKind, signal};

/// Enough of an HTTP answer for its status line.
const HEAD_BYTES: usize = 64;

#[derive(Parser)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Connect to HOST:PORT.
    Tcp {
        /// HOST:PORT
        target: String,
        /// How long to wait before calling it a timeout.
        #[arg(long, default_value_t = 3_000)]
        timeout_ms: u64,
    },
    /// Connect to HOST:PORT and GET a path; the status line is printed after the verdict.
    Http {
        /// HOST:PORT
        target: String,
        /// The path to ask for.
        #[arg(long, default_value = "/")]
        path: String,
        /// How long to wait before calling it a timeout.
        #[arg(long, default_value_t = 3_000)]
        timeout_ms: u64,
    },
    /// Do nothing until told to end: the main process of a probing pod.
    Wait,
}

enum Verdict {
    Open(String),
    Refused,
    Timeout,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let verdict = match Arguments::parse().command {
        Command::Tcp { target, timeout_ms } => probe(&target, None, timeout_ms).await,
        Command::Http {
            target,
            path,
            timeout_ms,
        } => probe(&target, Some(&path), timeout_ms).await,
        Command::Wait => return wait().await,
    };
    match verdict {
        Verdict::Open(status) => {
            println!("open");
            if !status.is_empty() {
                println!("{status}");
            }
            ExitCode::SUCCESS
        }
        Verdict::Refused => {
            println!("refused");
            ExitCode::from(1)
        }
        Verdict::Timeout => {
            println!("timeout");
            ExitCode::from(2)
        }
    }
}

/// The first process of a container ends on SIGTERM only if it listens for it.
async fn wait() -> ExitCode {
    match signal(SignalKind::terminate()) {
        Ok(mut terminate) => {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = tokio::signal::ctrl_c() => {}
            }
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("cannot wait for signals: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn probe(target: &str, path: Option<&str>, timeout_ms: u64) -> Verdict {
    let attempt =
        tokio::time::timeout(Duration::from_millis(timeout_ms), exchange(target, path)).await;
    match attempt {
        Ok(Ok(status)) => Verdict::Open(status),
        Ok(Err(error)) if error.kind() == io::ErrorKind::TimedOut => Verdict::Timeout,
        Ok(Err(error)) => {
            eprintln!("{target}: {error}");
            Verdict::Refused
        }
        Err(_) => Verdict::Timeout,
    }
}

async fn exchange(target: &str, path: Option<&str>) -> io::Result<String> {
    let mut stream = TcpStream::connect(target).await?;
    let Some(path) = path else {
        return Ok(String::new());
    };
    let request = format!("GET {path} HTTP/1.1\r\nHost: {target}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await?;
    let mut head = vec![0; HEAD_BYTES];
    let length = stream.read(&mut head).await?;
    head.truncate(length);
    let head = String::from_utf8_lossy(&head).into_owned();
    Ok(head.lines().next().unwrap_or_default().to_owned())
}

//! Sends real packets and says what became of them: `open`, `refused`, `timeout`
//! or, if there was nowhere to send them, `unresolved`; the exit code is 0, 1, 2
//! or 3. Proves network policies from inside pods.

#[path = "probe/scan.rs"]
mod scan;

use std::io;
use std::net::SocketAddr;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Parser, Subcommand};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, lookup_host};
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
    /// Connect to each HOST:PORT and print a line for each: `VERDICT TARGET`.
    ///
    /// The time to wait is measured, not guessed: it counts only if a control
    /// that is known to be open answers within it afterwards.
    Scan {
        /// HOST:PORT
        #[arg(required = true)]
        targets: Vec<String>,
        /// HOST:PORT that is open.
        #[arg(long)]
        control: String,
        /// How long to wait at first before calling it a timeout.
        #[arg(long, default_value_t = 1_500)]
        timeout_ms: u64,
    },
    /// Listen on a port and let everybody in.
    Serve {
        /// The port.
        port: u16,
    },
    /// Print a text, then do nothing until told to end.
    Say {
        /// The text.
        text: String,
    },
    /// Do nothing until told to end: the main process of a probing pod.
    Wait,
}

enum Verdict {
    Open(String),
    Refused,
    Timeout,
    Unresolved,
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
        Command::Scan {
            targets,
            control,
            timeout_ms,
        } => return scan::run(targets, &control, timeout_ms).await,
        Command::Serve { port } => return serve(port).await,
        Command::Say { text } => {
            println!("{text}");
            return wait().await;
        }
        Command::Wait => return wait().await,
    };
    println!("{}", verdict.word());
    match verdict {
        Verdict::Open(status) => {
            if !status.is_empty() {
                println!("{status}");
            }
            ExitCode::SUCCESS
        }
        Verdict::Refused => ExitCode::from(1),
        Verdict::Timeout => ExitCode::from(2),
        Verdict::Unresolved => ExitCode::from(3),
    }
}

impl Verdict {
    const fn word(&self) -> &'static str {
        match self {
            Self::Open(_) => "open",
            Self::Refused => "refused",
            Self::Timeout => "timeout",
            Self::Unresolved => "unresolved",
        }
    }
}

/// Serves until it is told to end; a connection is taken and let go.
async fn serve(port: u16) -> ExitCode {
    let listener = match TcpListener::bind(("0.0.0.0", port)).await {
        Ok(listener) => listener,
        Err(error) => {
            eprintln!("cannot listen on port {port}: {error}");
            return ExitCode::FAILURE;
        }
    };
    let accept = async {
        loop {
            drop(listener.accept().await);
        }
    };
    tokio::select! {
        code = wait() => code,
        () = accept => ExitCode::SUCCESS,
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
    let addresses = match lookup_host(target).await {
        Ok(addresses) => addresses.collect::<Vec<_>>(),
        Err(error) => {
            eprintln!("{target}: {error}");
            return Verdict::Unresolved;
        }
    };
    let attempt = tokio::time::timeout(
        Duration::from_millis(timeout_ms),
        exchange(&addresses, target, path),
    )
    .await;
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

async fn exchange(
    addresses: &[SocketAddr],
    target: &str,
    path: Option<&str>,
) -> io::Result<String> {
    let mut stream = TcpStream::connect(addresses).await?;
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

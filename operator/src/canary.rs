//! A port that lets everybody in and says nothing. Servers try to reach it,
//! which their network policies forbid: a known door on which to prove a wall.

use std::time::Duration;

use tokio::net::TcpListener;

/// After an error of the socket itself, such as too many open files.
const PAUSE: Duration = Duration::from_millis(100);

/// Accepts and hangs up, for as long as it is polled.
pub async fn serve(listener: TcpListener) {
    loop {
        if listener.accept().await.is_err() {
            tokio::time::sleep(PAUSE).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncReadExt as _;
    use tokio::net::TcpStream;

    use super::*;

    #[tokio::test]
    async fn everybody_gets_in_and_hears_nothing() {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let serving = tokio::spawn(serve(listener));
        for _ in 0..3 {
            let mut stream = TcpStream::connect(address).await.unwrap();
            let mut heard = vec![];
            stream.read_to_end(&mut heard).await.unwrap();
            assert!(heard.is_empty());
        }
        serving.abort();
    }
}

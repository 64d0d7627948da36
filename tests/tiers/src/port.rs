//! Ports for programs that are told theirs before they start.

use std::io::{Error, ErrorKind};
use std::net::TcpListener;
use std::sync::atomic::{AtomicU16, Ordering};

/// Below the ports that Linux gives to whoever asks for any: one of those may go
/// to a connection of somebody else before the program is there.
const FIRST: u16 = 12_000;
const COUNT: u16 = 20_000;

/// A port of 127.0.0.1 that nobody else of this process is told, and that
/// nobody has.
pub fn own_port() -> Result<u16, Error> {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    // Other processes that test begin elsewhere.
    let start = std::process::id() % u32::from(COUNT);
    for _ in 0..COUNT {
        let turn = u32::from(NEXT.fetch_add(1, Ordering::Relaxed));
        let place = (start + turn) % u32::from(COUNT);
        let port = FIRST + u16::try_from(place).unwrap_or_default();
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return Ok(port);
        }
    }
    Err(ErrorKind::AddrInUse.into())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn nobody_is_told_a_port_twice() {
        let told: BTreeSet<u16> = (0..100).map(|_| own_port().unwrap()).collect();
        assert_eq!(told.len(), 100);
        assert!(
            told.iter()
                .all(|port| (FIRST..FIRST + COUNT).contains(port))
        );
    }
}

//! A TCP relay that cuts an answer in its middle, once; or one that is a slow line.

use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// A relay to another address. It ends with the test's process.
#[derive(Debug)]
pub struct Relay {
    address: SocketAddr,
    cut: Arc<AtomicBool>,
}

impl Relay {
    /// Relays to `target`, and closes the first connection that has brought `bytes` back at that point.
    ///
    /// # Panics
    /// When no port is free.
    pub fn cutting_once_after(target: &str, bytes: usize) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
        let address = listener.local_addr().expect("it is bound");
        let cut = Arc::new(AtomicBool::new(false));
        std::thread::spawn({
            let (cut, target) = (Arc::clone(&cut), target.to_owned());
            move || {
                for client in listener.incoming().flatten() {
                    // Whoever is away makes the relay hang up, as a relay does.
                    let _ = relay(client, &target, bytes, &cut);
                }
            }
        });
        Self { address, cut }
    }

    /// Relays to `target`, and takes from each client so many bytes a second.
    ///
    /// # Panics
    /// When no port is free.
    pub fn slow(target: SocketAddr, bytes_a_second: u32) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
        let address = listener.local_addr().expect("it is bound");
        std::thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let _ = carry_slowly(client, target, bytes_a_second);
            }
        });
        Self { address, cut: Arc::default() }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// What `upstream.url` must say.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Whether it has cut an answer.
    pub fn has_cut(&self) -> bool {
        self.cut.load(Ordering::SeqCst)
    }
}

fn relay(mut client: TcpStream, target: &str, bytes: usize, cut: &Arc<AtomicBool>) -> io::Result<()> {
    let mut server = TcpStream::connect(target)?;
    let (mut from_client, mut to_server) = (client.try_clone()?, server.try_clone()?);
    std::thread::spawn(move || {
        let _ = io::copy(&mut from_client, &mut to_server);
        let _ = to_server.shutdown(Shutdown::Write);
    });
    let cut = Arc::clone(cut);
    std::thread::spawn(move || {
        let mut brought = 0;
        let mut buffer = [0; 16 * 1024];
        while let Ok(n @ 1..) = server.read(&mut buffer) {
            brought += n;
            let is_first = brought > bytes && !cut.swap(true, Ordering::SeqCst);
            if is_first || client.write_all(&buffer[..n]).is_err() {
                break;
            }
        }
        let _ = client.shutdown(Shutdown::Both);
        let _ = server.shutdown(Shutdown::Both);
    });
    Ok(())
}

fn carry_slowly(mut client: TcpStream, target: SocketAddr, bytes_a_second: u32) -> io::Result<()> {
    let mut server = TcpStream::connect(target)?;
    let (mut from_server, mut to_client) = (server.try_clone()?, client.try_clone()?);
    std::thread::spawn(move || {
        let _ = io::copy(&mut from_server, &mut to_client);
        let _ = to_client.shutdown(Shutdown::Both);
    });
    std::thread::spawn(move || {
        let mut buffer = [0; 4 * 1024];
        while let Ok(n @ 1..) = client.read(&mut buffer) {
            if server.write_all(&buffer[..n]).is_err() {
                break;
            }
            std::thread::sleep(Duration::from_secs(n as u64) / bytes_a_second);
        }
        let _ = server.shutdown(Shutdown::Write);
    });
    Ok(())
}

//! What a client has to be told to come in.

use crate::secrets::{base64, note_password};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

/// An address, a certificate authority to trust, and a user.
#[derive(Debug, Clone)]
pub struct Door {
    /// Where it listens.
    pub address: SocketAddr,
    /// The certificate authority to trust, PEM.
    pub ca: PathBuf,
    /// A user that may come in.
    pub user: String,
    /// That user's password.
    pub password: String,
}

impl Door {
    /// `https://ADDRESS` and `path`.
    pub fn url(&self, path: &str) -> String {
        format!("https://{}{path}", self.address)
    }

    /// `ADDRESS/REPOSITORY`, as image tools want it.
    pub fn reference(&self, repository: &str) -> String {
        format!("{}/{repository}", self.address)
    }

    /// `USER:PASSWORD`.
    pub fn credentials(&self) -> String {
        note_password(&self.user, &self.password);
        format!("{}:{}", self.user, self.password)
    }

    /// The header line that lets the user in.
    pub(crate) fn authorization(&self) -> String {
        format!("Authorization: Basic {}\r\n", base64(self.credentials().as_bytes()))
    }

    /// The same door with another password.
    pub fn with_password(&self, password: &str) -> Self {
        Self { password: password.to_owned(), ..self.clone() }
    }

    /// The same door with another authority trusted.
    pub fn trusting(&self, ca: &Path) -> Self {
        Self { ca: ca.to_path_buf(), ..self.clone() }
    }
}

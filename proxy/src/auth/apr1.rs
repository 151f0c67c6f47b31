//! apr1, Apache's variant of FreeBSD's MD5-crypt: what `htpasswd` writes when nothing else is asked for.
//!
//! Written here because no maintained crate has it. The steps are those of Apache's
//! [`apr_md5_encode`](https://apr.apache.org/docs/apr-util/trunk/group___a_p_r___m_d5.html).

use md5::{Digest as _, Md5};

use super::crypt_base64;

const MAGIC: &str = "$apr1$";
const ROUNDS: usize = 1000;

/// Characters of an encoded digest.
pub(super) const ENCODED_LEN: usize = 22;

/// Characters of the longest salt.
pub(super) const MAX_SALT: usize = 8;

/// The digest of `password` under `salt`, encoded as it stands after the last `$`.
pub(super) fn encoded_digest(password: &[u8], salt: &[u8]) -> Vec<u8> {
    let mut digest = first_digest(password, salt);
    for round in 0..ROUNDS {
        let odd = round % 2 == 1;
        let mut md5 = Md5::new();
        md5.update(if odd { password } else { &digest });
        if round % 3 != 0 {
            md5.update(salt);
        }
        if round % 7 != 0 {
            md5.update(password);
        }
        md5.update(if odd { &digest } else { password });
        digest = md5.finalize().into();
    }
    encode(&digest)
}

fn first_digest(password: &[u8], salt: &[u8]) -> [u8; 16] {
    let inner: [u8; 16] = Md5::new().chain_update(password).chain_update(salt).chain_update(password).finalize().into();
    let mut md5 = Md5::new().chain_update(password).chain_update(MAGIC).chain_update(salt);
    for start in (0..password.len()).step_by(inner.len()) {
        md5.update(&inner[..inner.len().min(password.len() - start)]);
    }
    let mut bits = password.len();
    while bits > 0 {
        md5.update(if bits & 1 == 1 { &[0] } else { &password[..1] });
        bits >>= 1;
    }
    md5.finalize().into()
}

fn encode(digest: &[u8; 16]) -> Vec<u8> {
    const TRIPLES: [[usize; 3]; 5] = [[0, 6, 12], [1, 7, 13], [2, 8, 14], [3, 9, 15], [4, 10, 5]];
    let mut text = Vec::with_capacity(ENCODED_LEN);
    for triple in TRIPLES {
        crypt_base64::push(&mut text, triple.map(|index| digest[index]), 4);
    }
    crypt_base64::push(&mut text, [0, 0, digest[11]], 2);
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Made with `openssl passwd -apr1 -salt SALT PASSWORD`.
    #[test]
    fn digests_are_those_of_openssl() {
        assert_eq!(encoded_digest(b"correct-horse", b"ab"), b"aKdLygNvc/U..n1q0jDD/.");
        assert_eq!(encoded_digest(&[b'x'; 200], b"saltsalt"), b"bBflJ7cq7apbOefxhgS4/1");
    }

    #[test]
    fn an_empty_password_has_a_digest_too() {
        assert_eq!(encoded_digest(b"", b"saltsalt").len(), ENCODED_LEN);
    }
}

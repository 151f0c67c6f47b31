//! A strict reading of an HTTP/1.1 request after RFC 9112, which shares no code with the gate or hyper.

/// A request, as far as its framing is concerned.
#[derive(Debug)]
pub(super) struct Request<'a> {
    /// As it was sent, with its query; of one in absolute form its path.
    pub(super) target: &'a [u8],
    /// The value of Host, if there is one.
    pub(super) host: Option<&'a [u8]>,
    length: Option<usize>,
    is_chunked: bool,
    /// What stands behind the header.
    pub(super) rest: &'a [u8],
}

impl<'a> Request<'a> {
    /// Reads the header; refuses what has more than one reading, and says why.
    pub(super) fn read(input: &'a [u8]) -> Result<Self, &'static str> {
        let mut rest = input;
        while let Some(after) = rest.strip_prefix(b"\r\n") {
            rest = after;
        }
        let mut words = line(&mut rest)?.split(|&byte| byte == b' ');
        let (Some(_), Some(target), Some(version), None) = (words.next(), words.next(), words.next(), words.next())
        else {
            return Err("the request line has not three words");
        };
        if !matches!(version, b"HTTP/1.1" | b"HTTP/1.0") {
            return Err("the version is another one");
        }
        let (mut host, mut length, mut coding) = (None, None, None);
        loop {
            let line = line(&mut rest)?;
            if line.is_empty() {
                break;
            }
            let colon = line.iter().position(|&byte| byte == b':').ok_or("a header has no colon")?;
            let (name, value) = (&line[..colon], line[colon + 1..].trim_ascii());
            if name.is_empty() || !name.iter().all(|&byte| is_token(byte)) {
                return Err("a header's name is no token");
            }
            let field = match name.to_ascii_lowercase().as_slice() {
                b"host" => &mut host,
                b"content-length" => &mut length,
                b"transfer-encoding" => &mut coding,
                _ => continue,
            };
            if field.replace(value).is_some() {
                return Err("a header that may stand once is repeated");
            }
        }
        if host.is_none() && version == b"HTTP/1.1" {
            return Err("there is no Host");
        }
        let target = match target {
            [b'/', ..] => target,
            absolute => path_of_absolute(absolute, host)?,
        };
        let is_chunked = coding.map(|coding| coding.eq_ignore_ascii_case(b"chunked"));
        match (length, is_chunked) {
            (_, Some(false)) => Err("a coding is not chunked"),
            (Some(_), Some(true)) => Err("there are two framings"),
            (length, is_chunked) => {
                let length = length.map(|digits| number(digits, 10)).transpose()?;
                Ok(Self { target, host, length, is_chunked: is_chunked.is_some(), rest })
            }
        }
    }

    /// The body, when it is all there.
    pub(super) fn body(&self) -> Result<Vec<u8>, &'static str> {
        let mut rest = self.rest;
        if let Some(length) = self.length {
            return take(&mut rest, length).map(<[u8]>::to_vec);
        }
        let mut body = Vec::new();
        if !self.is_chunked {
            return Ok(body);
        }
        loop {
            let size = line(&mut rest)?.split(|&byte| byte == b';').next().unwrap_or_default();
            let size = number(size.trim_ascii_end(), 16)?;
            if size == 0 {
                while !line(&mut rest)?.is_empty() {}
                return Ok(body);
            }
            body.extend_from_slice(take(&mut rest, size)?);
            if !line(&mut rest)?.is_empty() {
                return Err("a chunk is longer than its size");
            }
        }
    }
}

/// What follows `https://` and the authority, which is the one that `Host` names.
fn path_of_absolute<'a>(target: &'a [u8], host: Option<&[u8]>) -> Result<&'a [u8], &'static str> {
    let (scheme, rest) = target.split_at_checked(8).ok_or("the target has no form")?;
    if !scheme.eq_ignore_ascii_case(b"https://") {
        return Err("the target is neither a path nor of https");
    }
    let end = rest.iter().position(|byte| matches!(byte, b'/' | b'?')).unwrap_or(rest.len());
    let (authority, path) = rest.split_at(end);
    let parts = |authority: &[u8]| {
        let text = String::from_utf8_lossy(authority).to_lowercase();
        match text.rsplit_once(':') {
            Some((name, port)) if !port.ends_with(']') => {
                (name.to_owned(), if port.is_empty() { "443" } else { port }.to_owned())
            }
            _ => (text, "443".to_owned()),
        }
    };
    if authority.contains(&b'@') || host.is_some_and(|host| parts(host) != parts(authority)) {
        return Err("the target and Host name two hosts");
    }
    match path {
        [] => Ok(b"/"),
        [b'/', ..] => Ok(path),
        _ => Err("the target has no path"),
    }
}

/// The next line, ended by CRLF, without a CR or LF of its own.
fn line<'a>(rest: &mut &'a [u8]) -> Result<&'a [u8], &'static str> {
    let end = rest.windows(2).position(|pair| pair == b"\r\n").ok_or("a line has no end")?;
    let (line, after) = (&rest[..end], &rest[end + 2..]);
    if line.iter().any(|byte| matches!(byte, b'\r' | b'\n' | b'\0')) {
        return Err("a line holds CR, LF or NUL");
    }
    *rest = after;
    Ok(line)
}

fn take<'a>(rest: &mut &'a [u8], length: usize) -> Result<&'a [u8], &'static str> {
    let (taken, after) = rest.split_at_checked(length).ok_or("the body is not all there")?;
    *rest = after;
    Ok(taken)
}

fn number(digits: &[u8], radix: u32) -> Result<usize, &'static str> {
    let text = str::from_utf8(digits).map_err(|_| "a number is no text")?;
    // `from_str_radix` takes a sign.
    let plain = !text.is_empty() && text.chars().all(|digit| digit.is_digit(radix));
    plain.then(|| usize::from_str_radix(text, radix).ok()).flatten().ok_or("a number is none, or too large")
}

fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

//! nginx's times and sizes, written as Lockgate's.

use std::time::Duration;

use lockgate_settings::Period;

/// A time as in `900`, `15m` or `1h 30m`, which is nothing where it is none, or zero, or longer than a year.
pub(super) fn period(text: &str) -> Option<String> {
    let mut total: u64 = 0;
    let mut rest = text;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
        let number: u64 = rest[..digits].parse().ok()?;
        let unit_and_rest = &rest[digits..];
        let end = unit_and_rest.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(unit_and_rest.len());
        let millis = match &unit_and_rest[..end] {
            "ms" => 1,
            "" | "s" => 1000,
            "m" => 60_000,
            "h" => 3_600_000,
            "d" => 86_400_000,
            "w" => 604_800_000,
            "M" => 2_592_000_000,
            "y" => 31_536_000_000,
            _ => return None,
        };
        total = number.checked_mul(millis)?.checked_add(total)?;
        rest = unit_and_rest[end..].trim_start();
    }
    Period::try_from(Duration::from_millis(total)).ok().map(|period| period.to_string())
}

/// A size as in `1024`, `8k` or `1m`, in bytes.
pub(super) fn size(text: &str) -> Option<u64> {
    let (digits, factor) = match text.strip_suffix(['k', 'K']) {
        Some(digits) => (digits, 1 << 10),
        None => match text.strip_suffix(['m', 'M']) {
            Some(digits) => (digits, 1 << 20),
            None => (text, 1),
        },
    };
    digits.parse::<u64>().ok()?.checked_mul(factor)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_and_sizes_are_those_of_nginx() {
        for (text, expected) in [
            ("900", Some("15m")),
            ("900s", Some("15m")),
            ("1h 30m", Some("90m")),
            ("1h30m", Some("90m")),
            ("500ms", Some("500ms")),
        ] {
            assert_eq!(period(text).as_deref(), expected, "{text}");
        }
        for text in ["0", "", "off", "2y", "1x", "99999999999999999999", "-1", "9999999999999999y"] {
            assert_eq!(period(text), None, "{text}");
        }
        assert_eq!(
            [size("8k"), size("1M"), size("512"), size("8g"), size("")],
            [Some(8192), Some(1 << 20), Some(512), None, None]
        );
    }
}

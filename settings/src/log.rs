//! The log of a program: `[log]`, and how lines are written.
//!
//! `tracing` to standard error, as text for people or JSON for machines. Lines of requests, which have the target
//! [`ACCESS`], are of another kind than all others: there are thousands a second. So they are written by a formatter
//! that costs less than half of the usual one, and gathered until their thread has nothing else to do ([`flush_log`]).

use std::fmt::{self, Debug};
use std::io::{self, IsTerminal as _, Write};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tracing::field::{Field, Visit};
use tracing::level_filters::LevelFilter;
use tracing::{Event, Metadata, Subscriber};
use tracing_subscriber::filter::Targets;
use tracing_subscriber::fmt::format::{Format, Writer};
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields, MakeWriter};
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{Layer as _, Registry};

use crate::combined;

/// The target of the lines that come with every request.
pub const ACCESS: &str = "access";

/// Lines of requests that are gathered at most, in bytes: a pipe that two processes write to takes so much in one piece
/// (`PIPE_BUF`).
const MOST_GATHERED: usize = 4096;

/// How long a line waits at most for another, where its thread is never idle.
const OLDEST: Duration = Duration::from_millis(100);

static GATHERED: Mutex<Gathered> = Mutex::new(Gathered { lines: Vec::new(), since: None, are_alone: false });

struct Gathered {
    lines: Vec<u8>,
    /// Whether they go to standard output, where no other line does.
    are_alone: bool,
    /// When the first of them came.
    since: Option<Instant>,
}

/// What is written to standard error.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Log {
    /// Whether each request has a line, where there are any of its level ("info").
    pub access: bool,
    /// How the log on standard error is written: "text" for people, "json" for programs, one object a line. With "combined"
    /// the lines of requests go to standard output, as nginx writes them, and all others to standard error as text.
    pub format: LogFormat,
    /// What is written: "error", "warn", "info" (with a line for each request), "debug" or "trace".
    pub level: LogLevel,
}

impl Default for Log {
    fn default() -> Self {
        Self { access: true, format: LogFormat::default(), level: LogLevel::default() }
    }
}

/// The form of a log line.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(inline)]
pub enum LogFormat {
    /// To be read by people.
    #[default]
    Text,
    /// One JSON object a line.
    Json,
    /// Requests as nginx's `combined`, on standard output; all else as text.
    Combined,
}

/// The least severe kind of line that is logged.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(inline)]
#[expect(missing_docs, reason = "the usual levels")]
pub enum LogLevel {
    Error,
    Warn,
    #[default]
    Info,
    Debug,
    Trace,
}

impl From<LogLevel> for LevelFilter {
    fn from(level: LogLevel) -> Self {
        match level {
            LogLevel::Error => Self::ERROR,
            LogLevel::Warn => Self::WARN,
            LogLevel::Info => Self::INFO,
            LogLevel::Debug => Self::DEBUG,
            LogLevel::Trace => Self::TRACE,
        }
    }
}

impl Log {
    /// Starts logging. It stays with the first caller: a process logs in one way.
    ///
    /// `talkative` are libraries that say too much. They print whole headers, credentials with them, when they may say
    /// all, and warn of whatever a stranger sends, as of a server name that is none. Of them errors are logged, and
    /// warnings to who looks for something.
    pub fn start(&self, talkative: &[&str]) {
        // Who reads no log shall not be told so on standard error, which panics.
        let lines = tracing_subscriber::fmt::layer().with_writer(Stderr).log_internal_errors(false);
        let layer = match self.format {
            LogFormat::Text => lines.with_ansi(io::stderr().is_terminal()).event_format(Text::default()).boxed(),
            LogFormat::Combined => {
                gathered().are_alone = true;
                lines.with_ansi(io::stderr().is_terminal()).event_format(Combined::default()).boxed()
            }
            LogFormat::Json => lines.json().flatten_event(true).boxed(),
        };
        // Only a second start fails, and the first one's choice stands.
        let _ =
            Registry::default().with(layer.with_filter(filter(self.level.into(), self.access, talkative))).try_init();
    }
}

/// Writes the lines of requests that wait. A program that logs with the target [`ACCESS`] calls it when a thread has
/// nothing to do, and before it ends.
pub fn flush_log() {
    gathered().write_out();
}

fn gathered() -> MutexGuard<'static, Gathered> {
    // Bytes are whole lines at any time.
    GATHERED.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Gathered {
    fn add(&mut self, line: &[u8]) {
        if self.lines.len() + line.len() > MOST_GATHERED {
            self.write_out();
        }
        self.lines.extend_from_slice(line);
        self.since.get_or_insert_with(Instant::now);
    }

    fn is_old(&self) -> bool {
        self.since.is_some_and(|since| since.elapsed() >= OLDEST)
    }

    fn write_out(&mut self) {
        if self.since.take().is_some() {
            // Nobody is left to be told that nobody reads the log.
            let _ = if self.are_alone {
                io::stdout().write_all(&self.lines).and_then(|()| io::stdout().flush())
            } else {
                io::stderr().write_all(&self.lines)
            };
            self.lines.clear();
        }
    }
}

/// The most that a talkative library may say: errors, and to who looks for something its warnings.
/// Never more, at any level that is configured.
fn most(asked: LevelFilter) -> LevelFilter {
    asked.min(if asked >= LevelFilter::DEBUG { LevelFilter::WARN } else { LevelFilter::ERROR })
}

fn filter(asked: LevelFilter, access: bool, talkative: &[&str]) -> Targets {
    let quiet = talkative.iter().map(|library| (*library, most(asked)));
    let requests = if access { asked } else { LevelFilter::OFF };
    Targets::new().with_default(asked).with_targets(quiet).with_target(ACCESS, requests)
}

/// Standard error, behind the lines that are gathered.
struct Stderr;

/// Takes one line.
struct Line {
    waits: bool,
}

impl<'a> MakeWriter<'a> for Stderr {
    type Writer = Line;

    fn make_writer(&'a self) -> Line {
        Line { waits: false }
    }

    fn make_writer_for(&'a self, line: &Metadata<'_>) -> Line {
        Line { waits: line.target() == ACCESS }
    }
}

impl Write for Line {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let mut gathered = gathered();
        if gathered.are_alone && !self.waits {
            return io::stderr().write(line);
        }
        gathered.add(line);
        if !self.waits || gathered.is_old() {
            gathered.write_out();
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Lines as `tracing_subscriber` writes them; those of requests without its detours, where there are no colours.
#[derive(Default)]
struct Text(Format);

impl<S, N> FormatEvent<S, N> for Text
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(&self, context: &FmtContext<'_, S, N>, mut writer: Writer<'_>, event: &Event<'_>) -> fmt::Result {
        if event.metadata().target() != ACCESS || writer.has_ansi_escapes() {
            return self.0.format_event(context, writer, event);
        }
        write!(
            writer,
            "{} {:>5} {ACCESS}:",
            humantime::format_rfc3339_micros(SystemTime::now()),
            event.metadata().level()
        )?;
        let mut fields = Fields { writer, written: Ok(()) };
        event.record(&mut fields);
        fields.written?;
        fields.writer.write_char('\n')
    }
}

/// As [`Text`], but that requests are written as nginx does.
#[derive(Default)]
struct Combined(Format);

impl<S, N> FormatEvent<S, N> for Combined
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(&self, context: &FmtContext<'_, S, N>, mut writer: Writer<'_>, event: &Event<'_>) -> fmt::Result {
        if event.metadata().target() != ACCESS {
            return self.0.format_event(context, writer, event);
        }
        writeln!(writer, "{}", combined::line(event, SystemTime::now())?)
    }
}

struct Fields<'a> {
    writer: Writer<'a>,
    written: fmt::Result,
}

impl Fields<'_> {
    fn field(&mut self, field: &Field, value: impl FnOnce(&mut Writer<'_>) -> fmt::Result) {
        let Self { writer, written } = self;
        *written = written
            .and_then(|()| writer.write_char(' '))
            .and_then(|()| writer.write_str(field.name()))
            .and_then(|()| writer.write_char('='))
            .and_then(|()| value(writer));
    }
}

impl Visit for Fields<'_> {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.field(field, |writer| {
            if value.bytes().all(|byte| byte.is_ascii_graphic() && !matches!(byte, b'"' | b'\\')) {
                writer.write_char('"')?;
                writer.write_str(value)?;
                return writer.write_char('"');
            }
            write!(writer, "{value:?}")
        });
    }

    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.field(field, |writer| write!(writer, "{value:?}"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tracing::Level;

    #[derive(Clone, Default)]
    struct Memory(std::sync::Arc<Mutex<Vec<u8>>>);

    impl Write for Memory {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().expect("nobody panics").write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn written(
        format: impl FormatEvent<Registry, tracing_subscriber::fmt::format::DefaultFields> + Send + Sync + 'static,
    ) -> String {
        let memory = Memory::default();
        let to = memory.clone();
        let lines =
            tracing_subscriber::fmt::layer().with_ansi(false).event_format(format).with_writer(move || to.clone());
        tracing::subscriber::with_default(Registry::default().with(lines), || {
            let (none, some) = (None::<f64>, Some(0.25));
            let path = "/v2/a\"\\\u{1b}é";
            tracing::info!(target: ACCESS, client = "[::1]:1", path, status = 200_u16, bytes = u64::MAX, none, some);
            tracing::warn!(target: ACCESS, user = "", method = "GET");
            tracing::info!(size = 1, "another kind of line");
        });
        let bytes = memory.0.lock().expect("nobody panics").clone();
        String::from_utf8(bytes).expect("text")
    }

    #[test]
    fn a_line_of_a_request_looks_like_any_other() {
        // What differs is the time, 27 characters.
        let without_time = |lines: String| lines.lines().map(|line| line[27..].to_owned()).collect::<Vec<_>>();
        let ours = without_time(written(Text::default()));
        assert_eq!(ours, without_time(written(Format::default())));
        assert_eq!(ours.len(), 3);
    }

    #[test]
    fn a_request_is_written_as_nginx_does_where_that_is_wanted() {
        let lines = written(Combined::default());
        let [request, no_request, other] = &lines.lines().collect::<Vec<_>>()[..] else { panic!("{lines}") };
        assert!(request.starts_with("::1 - ") && request.contains("\"-\" 200 0 \"-\" \"-\""), "{request}");
        assert!(no_request.contains("\"-\" 499 0"), "{no_request}");
        assert!(other.ends_with("another kind of line size=1"), "{other}");
    }

    #[test]
    fn lines_of_requests_wait_and_all_others_go_out_behind_them() {
        let line = |waits| {
            Line { waits }.write_all(b"\n").expect("it takes all");
            gathered().lines.len()
        };
        flush_log();
        assert_eq!([line(true), line(true), line(false), line(true)], [1, 2, 0, 1]);
        flush_log();
        assert_eq!(gathered().lines.len(), 0);
        let much = vec![b'\n'; MOST_GATHERED];
        Line { waits: true }.write_all(&much).expect("it takes all");
        assert_eq!(line(true), 1, "what waited is out");
        gathered().since = Instant::now().checked_sub(OLDEST);
        assert_eq!(line(true), 0);
    }

    #[test]
    fn a_library_s_warnings_are_for_who_looks_for_something() {
        let library = "rustls::msgs::handshake";
        let says =
            |asked: Level, level: Level| filter(asked.into(), true, &["h2", "rustls"]).would_enable(library, &level);
        assert!(says(Level::INFO, Level::ERROR) && !says(Level::INFO, Level::WARN));
        assert!(says(Level::TRACE, Level::WARN) && !says(Level::TRACE, Level::INFO));
    }

    #[test]
    fn nobody_says_more_than_is_asked_for() {
        assert!(!filter(LevelFilter::OFF, true, &["rustls"]).would_enable("rustls", &Level::ERROR));
        assert!(filter(LevelFilter::WARN, true, &["rustls"]).would_enable("lockgate::gate", &Level::WARN));
        assert!(!filter(LevelFilter::WARN, true, &["rustls"]).would_enable(ACCESS, &Level::INFO));
        assert!(!filter(LevelFilter::INFO, false, &[]).would_enable(ACCESS, &Level::INFO));
        assert!(filter(LevelFilter::INFO, false, &[]).would_enable("lockgate::gate", &Level::INFO));
    }
}

//! Standard output: results of commands and nothing else. A reader that went away (`| head`) is no error.

use std::io::{self, Write};

/// Writes a command's result.
///
/// # Errors
/// What writing met, except that the reader has gone away.
pub(crate) fn print(text: &str) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    match stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        written => written,
    }
}

/// Writes words for people beside a result, to standard error.
pub(crate) fn tell(text: &str) {
    // Nothing can be done, or told, when standard error is gone.
    let _gone = writeln!(io::stderr().lock(), "{text}");
}

/// A number and what is counted: `1 check`, `2 checks`, `2 Secrets or ConfigMaps`.
pub(crate) fn many(number: usize, word: &str) -> String {
    match (number, word.split_once(' ')) {
        (1, _) => format!("1 {word}"),
        (_, None) => format!("{number} {word}s"),
        (_, Some((first, rest))) => format!("{number} {first}s {rest}s"),
    }
}

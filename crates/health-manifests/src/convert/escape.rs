//! The escapes of dialogues: `\r`, `\n`, `\t`, `\0`, `\\` and `\xNN`.

/// Undoes the escapes; the error says which one is unknown.
pub(crate) fn unescape(text: &str) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.chars();
    while let Some(character) = rest.next() {
        if character != '\\' {
            bytes.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
            continue;
        }
        bytes.push(match rest.next() {
            Some('r') => b'\r',
            Some('n') => b'\n',
            Some('t') => b'\t',
            Some('0') => 0,
            Some('\\') => b'\\',
            Some('x') => hexadecimal(&mut rest)?,
            Some(other) => return Err(format!("\\{other}")),
            None => return Err("\\ at the end".to_owned()),
        });
    }
    Ok(bytes)
}

fn hexadecimal(rest: &mut std::str::Chars<'_>) -> Result<u8, String> {
    let mut digit = || rest.next().and_then(|c| c.to_digit(16)).ok_or_else(|| "\\x without two hex digits".to_owned());
    let (high, low) = (digit()?, digit()?);
    u8::try_from(high * 16 + low).map_err(|_| "\\x".to_owned())
}

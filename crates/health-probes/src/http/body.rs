//! Reads what follows an answer's head: as far as it is needed, decompressed where something looks at it, never more than
//! `maxBodyBytes` of it after decompression.

use std::io;

use async_compression::{
    tokio::bufread::{BrotliDecoder, DeflateDecoder, GzipDecoder, ZlibDecoder, ZstdDecoder},
    zstd::DParameter,
};
use futures::TryStreamExt;
use http::{HeaderMap, header::CONTENT_ENCODING};
use http_body_util::{BodyDataStream, BodyExt};
use tokio::io::{AsyncBufRead, AsyncBufReadExt, AsyncReadExt};
use tokio_util::io::StreamReader;

use super::wire::Wire;
use crate::{failure::Failure, trace::Trace};

/// Bytes kept as evidence when nothing else looks at the body.
pub(super) const EVIDENCE: usize = 4 << 10;
/// Content encodings that are undone one after the other; more is nobody's honest answer.
const MOST_ENCODINGS: usize = 3;
/// What a zstd frame may ask to remember, as a power of two: 8 MiB (RFC 8878 section 3.1.1.1.2).
const ZSTD_WINDOW: u32 = 23;

/// What was read of a body.
#[derive(Debug, Default)]
pub(super) struct Body {
    /// The bytes, or their beginning where nothing looks at them.
    pub(super) bytes: Vec<u8>,
    /// Whether there was more than may be read.
    pub(super) cut: bool,
}

/// Reads a body that nothing looks at: up to the limit, as it comes, keeping its beginning as evidence.
pub(super) async fn skim(wire: &mut Wire, limit: u64, trace: &Trace) -> Result<Body, Failure> {
    let mut body = Body::default();
    let mut seen = 0;
    while let Some(frame) = wire.frame().await {
        let frame = frame.map_err(|error| wire.failure(&error, trace))?;
        let Some(data) = frame.data_ref() else { continue };
        let room = EVIDENCE.saturating_sub(body.bytes.len());
        body.bytes.extend_from_slice(&data[..data.len().min(room)]);
        seen += data.len() as u64;
        if seen > limit {
            body.cut = true;
            break;
        }
    }
    Ok(body)
}

/// Reads and decompresses a body that something looks at, up to the limit.
pub(super) async fn read(mut wire: Wire, headers: &HeaderMap, limit: u64, trace: &Trace) -> Result<Body, Failure> {
    let encodings = encodings(headers)?;
    if encodings.is_empty() {
        return read_plain(&mut wire, limit, trace).await;
    }
    let mut broken = None;
    let decoded = {
        let data = BodyDataStream::new(&mut wire).map_err(|error| {
            broken = Some(error);
            io::Error::other("the connection broke")
        });
        let mut reader: Box<dyn AsyncBufRead + Unpin + Send + '_> = Box::new(StreamReader::new(data));
        let mut peeked = Ok(());
        for encoding in &encodings {
            match decoder(reader, *encoding).await {
                Ok(next) => reader = next,
                Err(error) => {
                    reader = Box::new(tokio::io::empty());
                    peeked = Err(error);
                    break;
                }
            }
        }
        let mut bytes = Vec::new();
        match peeked {
            Ok(()) => reader.take(limit.saturating_add(1)).read_to_end(&mut bytes).await.map(|_| bytes),
            Err(error) => Err(error),
        }
    };
    match (decoded, broken) {
        (Ok(bytes), _) => Ok(bounded(bytes, limit)),
        (Err(_), Some(error)) => Err(wire.failure(&error, trace)),
        (Err(error), None) => Err(Failure::protocol(format!(
            "the body is not the {} it is said to be ({error})",
            headers.get(CONTENT_ENCODING).and_then(|value| value.to_str().ok()).unwrap_or("encoding")
        ))),
    }
}

async fn read_plain(wire: &mut Wire, limit: u64, trace: &Trace) -> Result<Body, Failure> {
    let mut bytes = Vec::new();
    while let Some(frame) = wire.frame().await {
        let frame = frame.map_err(|error| wire.failure(&error, trace))?;
        let Some(data) = frame.data_ref() else { continue };
        bytes.extend_from_slice(data);
        if bytes.len() as u64 > limit {
            break;
        }
    }
    Ok(bounded(bytes, limit))
}

fn bounded(mut bytes: Vec<u8>, limit: u64) -> Body {
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    let cut = bytes.len() > limit;
    bytes.truncate(limit);
    Body { bytes, cut }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Encoding {
    Gzip,
    Deflate,
    Brotli,
    Zstd,
}

/// The encodings to undo, in the order in which to undo them.
fn encodings(headers: &HeaderMap) -> Result<Vec<Encoding>, Failure> {
    let mut encodings = Vec::new();
    let written = headers.get_all(CONTENT_ENCODING).iter().filter_map(|value| value.to_str().ok());
    for word in written.flat_map(|value| value.split(',')).map(str::trim).filter(|word| !word.is_empty()) {
        encodings.push(match word.to_ascii_lowercase().as_str() {
            "identity" => continue,
            "gzip" | "x-gzip" => Encoding::Gzip,
            "deflate" => Encoding::Deflate,
            "br" => Encoding::Brotli,
            "zstd" => Encoding::Zstd,
            _ => return Err(Failure::protocol("the body's Content-Encoding is none of gzip, deflate, br, zstd")),
        });
    }
    if encodings.len() > MOST_ENCODINGS {
        return Err(Failure::protocol(format!("the body is encoded more than {MOST_ENCODINGS} times over")));
    }
    encodings.reverse();
    Ok(encodings)
}

async fn decoder<'a>(
    mut inner: Box<dyn AsyncBufRead + Unpin + Send + 'a>,
    encoding: Encoding,
) -> io::Result<Box<dyn AsyncBufRead + Unpin + Send + 'a>> {
    fn buffered<'a>(
        decoder: impl tokio::io::AsyncRead + Unpin + Send + 'a,
    ) -> Box<dyn AsyncBufRead + Unpin + Send + 'a> {
        Box::new(tokio::io::BufReader::new(decoder))
    }
    Ok(match encoding {
        Encoding::Gzip => {
            let mut decoder = GzipDecoder::new(inner);
            decoder.multiple_members(true);
            buffered(decoder)
        }
        Encoding::Brotli => buffered(BrotliDecoder::new(inner)),
        Encoding::Zstd => {
            let mut decoder = ZstdDecoder::with_params(inner, &[DParameter::window_log_max(ZSTD_WINDOW)]);
            decoder.multiple_members(true);
            buffered(decoder)
        }
        Encoding::Deflate => {
            // Some servers send the raw stream, without the wrapping of RFC 1950 that "deflate" means.
            let wrapped = matches!(*inner.fill_buf().await?, [first, ..] if first & 0x0f == 8);
            if wrapped { buffered(ZlibDecoder::new(inner)) } else { buffered(DeflateDecoder::new(inner)) }
        }
    })
}

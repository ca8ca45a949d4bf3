//! Decodes bodies with a `Content-Encoding` (RFC 9110 section 8.4): gzip, and deflate with or without the zlib header.

use flate2::write::{DeflateDecoder, MultiGzDecoder, ZlibDecoder};
use http::{HeaderMap, header};
use std::io::{Result, Write};

/// Encoded bytes per step. The decoded bytes of a step are held in memory, and can be a thousand times as many.
pub(crate) const DECODE_CHUNK: usize = 64;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Encoding {
    Identity,
    Gzip,
    Deflate,
}

/// The name in the header.
pub(crate) struct UnsupportedEncoding(pub(crate) String);

impl Encoding {
    /// The encoding in the headers.
    ///
    /// # Errors
    /// The encoding is not supported, or there are several.
    pub(crate) fn from_headers(headers: &HeaderMap) -> std::result::Result<Self, UnsupportedEncoding> {
        let mut names = headers.get_all(header::CONTENT_ENCODING).iter();
        let (Some(first), None) = (names.next(), names.next()) else {
            return if headers.contains_key(header::CONTENT_ENCODING) {
                Err(UnsupportedEncoding("several encodings".into()))
            } else {
                Ok(Self::Identity)
            };
        };
        let name = first.to_str().unwrap_or("?").trim().to_ascii_lowercase();
        match name.as_str() {
            "" | "identity" => Ok(Self::Identity),
            "gzip" | "x-gzip" => Ok(Self::Gzip),
            "deflate" => Ok(Self::Deflate),
            _ => Err(UnsupportedEncoding(name)),
        }
    }
}

/// Decodes a body as it arrives.
pub(crate) enum Decoder {
    Identity,
    Gzip(MultiGzDecoder<Vec<u8>>),
    /// The first byte of a deflated body: the zlib header is recognized by two.
    DeflateHeader(Vec<u8>),
    Zlib(ZlibDecoder<Vec<u8>>),
    Deflate(DeflateDecoder<Vec<u8>>),
}

impl Decoder {
    pub(crate) fn new(encoding: Encoding) -> Self {
        match encoding {
            Encoding::Identity => Self::Identity,
            Encoding::Gzip => Self::Gzip(MultiGzDecoder::new(Vec::new())),
            Encoding::Deflate => Self::DeflateHeader(Vec::new()),
        }
    }

    /// Decodes a part and passes the result to `sink`.
    ///
    /// # Errors
    /// The body does not have this encoding, or has data after its end.
    pub(crate) fn push<E: From<std::io::Error>>(
        &mut self,
        part: &[u8],
        sink: &mut dyn FnMut(&[u8]) -> std::result::Result<(), E>,
    ) -> std::result::Result<(), E> {
        if let Self::DeflateHeader(first) = self {
            first.extend_from_slice(part);
            let [one, two, ..] = first[..] else { return Ok(()) };
            // RFC 1950 section 2.2: the compression method and the checksum of the header's two bytes.
            let has_header = one & 0x0F == 8 && (u16::from(one) << 8 | u16::from(two)) % 31 == 0;
            let header = std::mem::take(first);
            *self = if has_header {
                Self::Zlib(ZlibDecoder::new(Vec::new()))
            } else {
                Self::Deflate(DeflateDecoder::new(Vec::new()))
            };
            return self.push(&header, sink);
        }
        if let Self::Identity = self {
            return sink(part);
        }
        for step in part.chunks(DECODE_CHUNK) {
            match self {
                Self::Identity | Self::DeflateHeader(_) => {}
                Self::Gzip(decoder) => {
                    decoder.write_all(step)?;
                    sink(&std::mem::take(decoder.get_mut()))?;
                }
                Self::Zlib(decoder) => {
                    decoder.write_all(step)?;
                    sink(&std::mem::take(decoder.get_mut()))?;
                }
                Self::Deflate(decoder) => {
                    decoder.write_all(step)?;
                    sink(&std::mem::take(decoder.get_mut()))?;
                }
            }
        }
        Ok(())
    }

    /// Passes the rest of the body to `sink`.
    ///
    /// # Errors
    /// The body is incomplete.
    pub(crate) fn finish<E: From<std::io::Error>>(
        mut self,
        sink: &mut dyn FnMut(&[u8]) -> std::result::Result<(), E>,
    ) -> std::result::Result<(), E> {
        // A decoder at its end accepts no further byte.
        let is_complete = |further: Result<usize>| matches!(further, Ok(0));
        let (rest, is_complete) = match &mut self {
            Self::Identity => return Ok(()),
            Self::DeflateHeader(_) => (Vec::new(), false),
            Self::Gzip(decoder) => {
                decoder.try_finish()?;
                (std::mem::take(decoder.get_mut()), true)
            }
            Self::Zlib(decoder) => {
                let is_complete = decoder.flush().is_ok() && is_complete(decoder.write(&[0]));
                (std::mem::take(decoder.get_mut()), is_complete)
            }
            Self::Deflate(decoder) => {
                let is_complete = decoder.flush().is_ok() && is_complete(decoder.write(&[0]));
                (std::mem::take(decoder.get_mut()), is_complete)
            }
        };
        if !is_complete {
            return Err(std::io::Error::from(std::io::ErrorKind::UnexpectedEof).into());
        }
        sink(&rest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use flate2::Compression;
    use flate2::write::{DeflateEncoder, GzEncoder, ZlibEncoder};

    fn decoded(encoding: Encoding, body: &[u8], part: usize) -> Result<Vec<u8>> {
        let (mut decoder, mut all) = (Decoder::new(encoding), Vec::new());
        let mut sink = |bytes: &[u8]| {
            all.extend_from_slice(bytes);
            Ok::<_, std::io::Error>(())
        };
        for part in body.chunks(part) {
            decoder.push(part, &mut sink)?;
        }
        decoder.finish(&mut sink)?;
        Ok(all)
    }

    #[test]
    fn bodies_are_decoded_to_their_end_and_no_further() {
        let text = "people ".repeat(10_000).into_bytes();
        let level = Compression::default();
        let mut gzip = GzEncoder::new(Vec::new(), level);
        let mut zlib = ZlibEncoder::new(Vec::new(), level);
        let mut raw = DeflateEncoder::new(Vec::new(), level);
        for encoder in [&mut gzip as &mut dyn Write, &mut zlib, &mut raw] {
            encoder.write_all(&text).unwrap();
        }
        let bodies = [gzip.finish(), zlib.finish(), raw.finish()].map(Result::unwrap);
        let encodings = [Encoding::Gzip, Encoding::Deflate, Encoding::Deflate];
        for (n, (encoding, body)) in encodings.into_iter().zip(&bodies).enumerate() {
            for part in [1, 7, body.len()] {
                assert_eq!(decoded(encoding, body, part).unwrap(), text, "{n} {part}");
                let cut = &body[..body.len() - 1];
                assert!(decoded(encoding, cut, part).is_err(), "{n} {part}: cut");
                let long = [body.as_slice(), b"x"].concat();
                assert!(decoded(encoding, &long, part).is_err(), "{n} {part}: garbage");
            }
            assert!(decoded(encoding, b"no such thing", 4).is_err(), "{n}");
            assert!(decoded(encoding, b"", 4).is_err(), "{n}");
        }
        let two = [bodies[0].as_slice(), &bodies[0]].concat();
        assert_eq!(decoded(Encoding::Gzip, &two, 100).unwrap(), [text.as_slice(), &text].concat(), "members");
    }
}

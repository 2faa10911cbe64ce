//! Reading a body under caps: what arrives, what it expands to, and the ratio of the two.

use std::fmt;
use std::io::{self, Write};

use flate2::write::MultiGzDecoder;

/// Expansion that no honest JSON reaches, looked at once this much has come out.
const RATIO: usize = 200;
const RATIO_FROM: usize = 1 << 20;
/// A server is believed so much: more is only reserved when it comes.
const RESERVED: usize = 64 << 10;

/// Takes a body piece by piece.
pub(super) struct Collector {
    decoder: Decoder,
    wire: usize,
}

enum Decoder {
    Plain(Sink),
    Gzip(Box<MultiGzDecoder<Sink>>),
}

/// Why a body is refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Refused {
    /// More than the cap.
    TooLarge { cap: usize },
    /// Expands suspiciously.
    Bomb,
    /// Not gzip, or broken off.
    Gzip(String),
    /// No memory for it.
    Memory,
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Refused::TooLarge { cap } => write!(f, "the body is larger than the limit of {cap} bytes"),
            Refused::Bomb => write!(f, "the compressed body expands more than {RATIO}-fold"),
            Refused::Gzip(reason) => write!(f, "the body is not valid gzip: {reason}"),
            Refused::Memory => f.write_str("there is no memory for the body"),
        }
    }
}

impl Collector {
    /// For a body of at most `cap` decoded bytes; `expected` is what the server has announced.
    pub(super) fn new(gzip: bool, cap: usize, expected: usize) -> Collector {
        let out = if gzip { Vec::new() } else { Vec::with_capacity(expected.min(cap).min(RESERVED)) };
        let sink = Sink { out, cap, wire: 0, refused: None };
        let decoder = if gzip { Decoder::Gzip(Box::new(MultiGzDecoder::new(sink))) } else { Decoder::Plain(sink) };
        Collector { decoder, wire: 0 }
    }

    /// Takes the next piece.
    pub(super) fn push(&mut self, piece: &[u8]) -> Result<(), Refused> {
        self.wire += piece.len();
        let wire = self.wire;
        let (result, sink) = match &mut self.decoder {
            Decoder::Plain(sink) => (sink.write_all(piece), sink),
            Decoder::Gzip(decoder) => {
                decoder.get_mut().wire = wire;
                (decoder.write_all(piece), decoder.get_mut())
            }
        };
        result.map_err(|error| sink.reason(&error))
    }

    /// Bytes taken so far, as they came.
    pub(super) fn wire(&self) -> usize {
        self.wire
    }

    /// The decoded body, if it is complete.
    pub(super) fn finish(self) -> Result<Vec<u8>, Refused> {
        match self.decoder {
            Decoder::Plain(sink) => Ok(sink.out),
            // No bytes at all is an empty body, whatever its declared encoding.
            Decoder::Gzip(_) if self.wire == 0 => Ok(Vec::new()),
            Decoder::Gzip(mut decoder) => match decoder.try_finish() {
                Ok(()) => Ok(std::mem::take(&mut decoder.get_mut().out)),
                Err(error) => Err(decoder.get_mut().reason(&error)),
            },
        }
    }

    /// What could be decoded so far: for excerpts of error pages.
    pub(super) fn into_partial(mut self) -> Vec<u8> {
        match &mut self.decoder {
            Decoder::Plain(sink) => std::mem::take(&mut sink.out),
            Decoder::Gzip(decoder) => {
                // A broken end does not matter here.
                let _ = decoder.try_finish();
                std::mem::take(&mut decoder.get_mut().out)
            }
        }
    }
}

/// Where decoded bytes go; refuses before it grows too far.
struct Sink {
    out: Vec<u8>,
    cap: usize,
    wire: usize,
    refused: Option<Refused>,
}

impl Sink {
    fn reason(&mut self, error: &io::Error) -> Refused {
        self.refused.take().unwrap_or_else(|| {
            Refused::Gzip(match error.kind() {
                io::ErrorKind::UnexpectedEof => "it ends too early".to_owned(),
                _ => error.to_string(),
            })
        })
    }

    fn refuse(&mut self, why: Refused) -> io::Error {
        self.refused = Some(why);
        io::Error::other("refused")
    }
}

impl Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let size = self.out.len().saturating_add(bytes.len());
        if size > self.cap {
            return Err(self.refuse(Refused::TooLarge { cap: self.cap }));
        }
        if self.wire > 0 && size > RATIO_FROM && size / RATIO > self.wire {
            return Err(self.refuse(Refused::Bomb));
        }
        if self.out.try_reserve(bytes.len()).is_err() {
            return Err(self.refuse(Refused::Memory));
        }
        self.out.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use flate2::Compression;
    use flate2::write::GzEncoder;

    use super::*;

    fn gzip(text: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
        encoder.write_all(text).unwrap();
        encoder.finish().unwrap()
    }

    fn collect(gzip: bool, cap: usize, body: &[u8], piece: usize) -> Result<Vec<u8>, Refused> {
        let mut collector = Collector::new(gzip, cap, body.len());
        for piece in body.chunks(piece) {
            collector.push(piece)?;
        }
        collector.finish()
    }

    #[test]
    fn bodies_come_out_whatever_the_pieces() {
        let text = b"{\"status\":200}".repeat(1000);
        let packed = gzip(&text);
        for piece in [1, 7, 1000, usize::MAX] {
            assert_eq!(collect(true, 1 << 20, &packed, piece).unwrap(), text);
            assert_eq!(collect(false, 1 << 20, &text, piece).unwrap(), text);
        }
        assert_eq!(collect(true, 10, b"", 1).unwrap(), b"");
    }

    #[test]
    fn members_are_joined() {
        let packed = [gzip(b"one,"), gzip(b"two")].concat();
        assert_eq!(collect(true, 100, &packed, 3).unwrap(), b"one,two");
    }

    #[test]
    fn broken_gzip_is_refused() {
        let packed = gzip(&b"hello world".repeat(50));
        assert!(matches!(collect(true, 1 << 20, &packed[..packed.len() - 5], 9), Err(Refused::Gzip(_))));
        assert!(matches!(collect(true, 1 << 20, b"<html>not gzip at all</html>", 9), Err(Refused::Gzip(_))));
        let mut flipped = packed.clone();
        let middle = flipped.len() / 2;
        flipped[middle] ^= 0xff;
        assert!(matches!(collect(true, 1 << 20, &flipped, 9), Err(Refused::Gzip(_))));
        let trailing = [packed.as_slice(), b"garbage garbage garbage"].concat();
        assert!(matches!(collect(true, 1 << 20, &trailing, 9), Err(Refused::Gzip(_))));
    }

    #[test]
    fn caps_hold_on_decoded_bytes() {
        assert_eq!(collect(false, 10, b"0123456789", 4).unwrap(), b"0123456789");
        assert_eq!(collect(false, 9, b"0123456789", 4), Err(Refused::TooLarge { cap: 9 }));
        assert_eq!(collect(true, 99, &gzip(&[b'x'; 100]), 4), Err(Refused::TooLarge { cap: 99 }));
    }

    #[test]
    fn a_bomb_is_stopped_early() {
        let bomb = gzip(&vec![0; 64 << 20]);
        let mut collector = Collector::new(true, 256 << 20, 0);
        let refused = bomb.chunks(1024).find_map(|piece| collector.push(piece).err());
        assert_eq!(refused, Some(Refused::Bomb));
        assert!(collector.into_partial().len() < 2 << 20);
    }
}

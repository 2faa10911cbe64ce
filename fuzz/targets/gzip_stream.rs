//! Bodies under caps: however the pieces are cut, the same comes out, and never more than the cap.

use std::io::{Read, Write};

use flate2::Compression;
use flate2::read::MultiGzDecoder;
use flate2::write::GzEncoder;
use target_sdk_core::fuzzing::transport::{Refusal, collect};

use super::support::Bytes;

/// From here on the ratio counts, and that depends on how much has arrived.
const RATIO_FROM: usize = 1 << 20;

pub(crate) fn run(data: &[u8]) {
    let mut bytes = Bytes(data);
    let mode = bytes.byte();
    let cap = [0, 1, 100, 5000, 1 << 20, 4 << 20][bytes.below(6)];
    let cut = bytes.byte();
    let cuts = bytes.take(usize::from(cut % 8));
    let body = match mode % 4 {
        0 | 1 => bytes.0.to_vec(),
        2 => packed(bytes.0),
        _ => repeated(&mut bytes),
    };
    let gzip = mode % 4 != 0;

    let whole = collect(gzip, cap, [body.as_slice()]);
    let single = collect(gzip, cap, body.chunks(1));
    let mixed = collect(gzip, cap, pieces(&body, cuts));
    for outcome in [&whole, &single, &mixed] {
        let (Ok(out) | Err((_, out))) = outcome;
        assert!(out.len() <= cap, "{} bytes under a cap of {cap}", out.len());
    }
    // The ratio is looked at as the pieces come. And what is both broken and too large is refused for what is seen first.
    let bomb = |outcome: &Result<_, (Refusal, _)>| matches!(outcome, Err((Refusal::Bomb, _)));
    if cap <= RATIO_FROM || ![&whole, &single, &mixed].into_iter().any(bomb) {
        assert_eq!(single.as_ref().ok(), whole.as_ref().ok());
        assert_eq!(mixed.as_ref().ok(), whole.as_ref().ok());
    }

    // What another reader of gzip makes of it.
    if !gzip {
        assert_eq!(whole.is_ok(), body.len() <= cap);
    } else if let Ok(out) = &whole {
        let mut expected = Vec::new();
        let read = MultiGzDecoder::new(body.as_slice()).take(cap as u64 + 1).read_to_end(&mut expected);
        assert!(body.is_empty() || read.is_ok(), "{read:?}");
        assert_eq!(*out, expected);
    }
}

fn packed(text: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(text).expect("memory");
    encoder.finish().expect("memory")
}

/// Members that expand a lot, with rubbish between and after them.
fn repeated(bytes: &mut Bytes<'_>) -> Vec<u8> {
    let mut body = Vec::new();
    for _ in 0..1 + bytes.below(3) {
        let byte = bytes.byte();
        let length = usize::from(bytes.byte()) << (bytes.byte() % 14);
        body.extend(packed(&vec![byte; length]));
        let rubbish = usize::from(bytes.byte() % 8);
        body.extend(bytes.take(rubbish.saturating_sub(4)));
    }
    body.extend(bytes.0);
    body
}

fn pieces<'b>(mut body: &'b [u8], cuts: &'b [u8]) -> impl Iterator<Item = &'b [u8]> {
    let mut cuts = cuts.iter().cycle();
    std::iter::from_fn(move || {
        if body.is_empty() {
            return None;
        }
        let length = cuts.next().map_or(body.len(), |cut| usize::from(*cut).min(body.len()));
        // An empty piece now and then, but not for ever.
        let (piece, rest) = body.split_at(length.max(1));
        body = rest;
        Some(piece)
    })
}

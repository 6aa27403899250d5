//! An encoder and a decoder of frames for tests, independent of the crate's own code, which is under test.
//!
//! The caller of the encoder chooses the first byte of a frame, which holds FIN, the reserved bits and the opcode. The
//! decoder accepts any first byte, and its caller checks this byte.

/// A frame as it is on the wire.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Frame {
    /// FIN, reserved bits and opcode.
    pub first: u8,
    pub masked: bool,
    /// The payload, unmasked.
    pub payload: Vec<u8>,
}

/// First bytes of frames with FIN.
pub const TEXT: u8 = 0x81;
pub const BINARY: u8 = 0x82;
pub const CLOSE: u8 = 0x88;
pub const PING: u8 = 0x89;
pub const PONG: u8 = 0x8A;

/// Encodes a frame with the shortest form of its length.
pub fn encode(first: u8, payload: &[u8], key: Option<[u8; 4]>) -> Vec<u8> {
    let mut frame = head(first, payload.len() as u64, key);
    let key = key.unwrap_or_default();
    frame.extend(payload.iter().zip(key.iter().cycle()).map(|(byte, key)| byte ^ key));
    frame
}

/// Encodes the header of a frame with `len` bytes of payload.
pub fn head(first: u8, len: u64, key: Option<[u8; 4]>) -> Vec<u8> {
    let masked = if key.is_some() { 0x80 } else { 0 };
    let mut head = vec![first];
    match (u8::try_from(len), u16::try_from(len)) {
        (Ok(len @ ..=125), _) => head.push(masked | len),
        (_, Ok(len)) => {
            head.push(masked | 126);
            head.extend(len.to_be_bytes());
        }
        _ => {
            head.push(masked | 127);
            head.extend(len.to_be_bytes());
        }
    }
    head.extend(key.into_iter().flatten());
    head
}

/// Decodes frames. The last frame in `bytes` must be complete.
pub fn decode(mut bytes: &[u8]) -> Result<Vec<Frame>, String> {
    let mut frames = Vec::new();
    while !bytes.is_empty() {
        let (frame, rest) = decode_one(bytes).ok_or_else(|| format!("a frame is cut off: {bytes:02x?}"))?;
        frames.push(frame);
        bytes = rest;
    }
    Ok(frames)
}

fn decode_one(bytes: &[u8]) -> Option<(Frame, &[u8])> {
    let (&[first, second], rest) = bytes.split_first_chunk()?;
    let (len, rest) = match second & 0x7F {
        126 => rest.split_first_chunk().map(|(len, rest)| (u64::from(u16::from_be_bytes(*len)), rest))?,
        127 => rest.split_first_chunk().map(|(len, rest)| (u64::from_be_bytes(*len), rest))?,
        len => (u64::from(len), rest),
    };
    let masked = second & 0x80 != 0;
    let (key, rest) = if masked { rest.split_first_chunk()? } else { (&[0; 4], rest) };
    let (payload, rest) = rest.split_at_checked(usize::try_from(len).ok()?)?;
    let payload = payload.iter().zip(key.iter().cycle()).map(|(byte, key)| byte ^ key).collect();
    Some((Frame { first, masked, payload }, rest))
}

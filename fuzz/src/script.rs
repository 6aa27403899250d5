//! Bytes that are read as a list of things to do.

/// What is left of a script. Behind its end there are zeros.
#[derive(Clone, Copy, Debug)]
pub struct Script<'a>(pub &'a [u8]);

impl<'a> Script<'a> {
    /// The next thing to do, if there is one.
    pub fn step(&mut self) -> Option<u8> {
        (!self.0.is_empty()).then(|| self.byte())
    }

    /// A byte.
    pub fn byte(&mut self) -> u8 {
        self.0.split_off_first().copied().unwrap_or(0)
    }

    /// A number.
    pub fn number(&mut self) -> u16 {
        u16::from_le_bytes([self.byte(), self.byte()])
    }

    /// Up to 255 bytes, behind their number.
    pub fn bytes(&mut self) -> &'a [u8] {
        let len = usize::from(self.byte()).min(self.0.len());
        self.0.split_off(..len).unwrap_or_default()
    }

    /// Data of a few bytes of its own, or of many that are not, up to 65,535.
    pub fn data(&mut self) -> Vec<u8> {
        match self.byte() {
            len @ ..224 => {
                let len = usize::from(len).min(self.0.len());
                self.0.split_off(..len).unwrap_or_default().to_vec()
            }
            scale => {
                let (number, start) = (usize::from(self.number()), self.byte());
                let len = if scale == u8::MAX { number } else { number % 6000 };
                // It climbs, and wraps around.
                let bytes = (0..len).map(|at| start.wrapping_add((at * usize::from(scale) / 200) as u8));
                bytes.collect()
            }
        }
    }

    /// The same as text.
    pub fn text(&mut self) -> String {
        let data = self.data();
        String::from_utf8(data).unwrap_or_else(|error| {
            let ascii = error.into_bytes().into_iter().map(|byte| byte & 0x7F);
            ascii.map(char::from).collect()
        })
    }
}

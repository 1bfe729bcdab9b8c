//! Numbers in as few bytes as they need: seven bits a byte, the lowest first, the top bit set on
//! all but the last. Signed ones are folded first, so that small ones of either sign stay short.

/// Why bytes hold not what was asked for.
pub type Taken<T> = Result<T, &'static str>;

pub fn put(out: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        out.push(number.to_le_bytes()[0] | 0x80);
        number >>= 7;
    }
    out.push(number.to_le_bytes()[0]);
}

pub fn take(input: &mut &[u8]) -> Taken<u64> {
    let mut number = 0;
    for shift in (0..64).step_by(7) {
        let byte = take_byte(input)?;
        let bits = u64::from(byte & 0x7f);
        if bits << shift >> shift != bits {
            return Err("a number has more than 64 bits");
        }
        number |= bits << shift;
        if byte & 0x80 == 0 {
            return Ok(number);
        }
    }
    Err("a number has too many bytes")
}

pub fn take_byte(input: &mut &[u8]) -> Taken<u8> {
    let (first, rest) = input.split_first().ok_or("a part ends too early")?;
    *input = rest;
    Ok(*first)
}

pub fn take_bytes<'a>(input: &mut &'a [u8], length: u64) -> Taken<&'a [u8]> {
    let length = usize::try_from(length).map_err(|_| "a part ends too early")?;
    let (taken, rest) = input.split_at_checked(length).ok_or("a part ends too early")?;
    *input = rest;
    Ok(taken)
}

/// The way from `from` to `to`, folded: 0, -1, 1, -2, 2 become 0, 1, 2, 3, 4.
pub fn fold(from: u64, to: u64) -> u64 {
    let way = to.wrapping_sub(from).cast_signed();
    ((way << 1) ^ (way >> 63)).cast_unsigned()
}

/// Where the folded way leads.
pub fn unfold(from: u64, folded: u64) -> u64 {
    let way = (folded >> 1) ^ (folded & 1).wrapping_neg();
    from.wrapping_add(way)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NUMBERS: [u64; 9] = [0, 1, 127, 128, 16_383, 16_384, 1 << 62, u64::MAX - 1, u64::MAX];

    #[test]
    fn numbers_survive_their_bytes() {
        for number in NUMBERS {
            let mut bytes = Vec::new();
            put(&mut bytes, number);
            assert_eq!(take(&mut bytes.as_slice()), Ok(number));
            bytes.pop();
            assert_eq!(take(&mut bytes.as_slice()), Err("a part ends too early"));
        }
        for from in NUMBERS {
            for to in NUMBERS {
                assert_eq!(unfold(from, fold(from, to)), to);
            }
        }
        assert_eq!([0, 9, 11, 8, 12].map(|to| fold(10, to)), [19, 1, 2, 3, 4]);
    }

    #[test]
    fn numbers_of_more_than_64_bits_are_refused() {
        let mut widest = vec![0xff; 9];
        widest.push(0x01);
        assert_eq!(take(&mut widest.as_slice()), Ok(u64::MAX));
        widest[9] = 0x02;
        assert_eq!(take(&mut widest.as_slice()), Err("a number has more than 64 bits"));
        assert_eq!(take(&mut [0x80; 11].as_slice()), Err("a number has too many bytes"));
    }
}

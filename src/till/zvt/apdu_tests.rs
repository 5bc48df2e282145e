//! Lengths, BCD, bitmaps and TLVs: right ones, and ones that a till should not send.

use super::*;
use crate::shop::money::Currency;

fn hex(text: &str) -> Vec<u8> {
    text.split_whitespace().map(|b| u8::from_str_radix(b, 16).unwrap()).collect()
}

#[test]
fn a_length_of_255_and_more_takes_three_bytes() {
    for length in [0, 1, 0xfe, 0xff, 0x100, DATA_BYTES_MAX] {
        let apdu = Apdu::new(0x06d3, vec![0x10; length]);
        let bytes = apdu.bytes();
        let head = if length < 0xff { 3 } else { 5 };
        assert_eq!(bytes.len(), head + length);
        assert_eq!(Apdu::parse(&bytes), Ok(apdu.clone()));
        let mut stream = Stream::default();
        let found: Vec<_> = bytes.iter().filter_map(|b| stream.push(*b)).collect();
        assert_eq!(found, [Ok(apdu)], "{length}");
        for cut in 0..bytes.len().min(300) {
            assert_eq!(Apdu::parse(&bytes[..cut]), Err(Malformed));
        }
    }
    assert_eq!(Apdu::parse(&hex("80 00 00 00")), Err(Malformed));
    // A short length in the long form is the same length.
    assert_eq!(Apdu::parse(&hex("80 00 FF 00 00")), Ok(Apdu::positive()));
}

#[test]
fn an_apdu_that_is_too_long_is_skipped_and_the_next_one_is_heard() {
    let long = Apdu::new(0x0601, vec![0x06; DATA_BYTES_MAX + 1]).bytes();
    let mut stream = Stream::default();
    let mut found = Vec::new();
    for byte in long.iter().chain(&Apdu::positive().bytes()) {
        found.extend(stream.push(*byte));
        assert!(stream.held() <= DATA_BYTES_MAX + 5);
    }
    assert_eq!(found, [Err(Malformed), Ok(Apdu::positive())]);
}

#[test]
fn numbers_are_decimal_digits_in_both_halves() {
    assert_eq!(number(&hex("00 00 00 00 10 00")), Ok(1000));
    assert_eq!(number(&hex("99 99 99 99 99 99")), Ok(999_999_999_999));
    assert_eq!(number(&hex("0A")), Err(Malformed));
    assert_eq!(number(&[0x99; 10]), Err(Malformed));
    for (value, bytes, text) in [(1000, 6, "00 00 00 00 10 00"), (978, 2, "09 78"), (123_456, 2, "34 56")] {
        assert_eq!(bcd(value, bytes), hex(text));
    }
}

#[test]
fn bitmaps_are_read_by_their_table_and_what_stands_in_none_ends_them() {
    let data = hex("04 00 00 00 00 12 50 49 09 78 19 00 06 00");
    let fields = Reader(&data).fields().unwrap();
    assert_eq!(fields.number(bitmap::AMOUNT), Ok(Some(1250)));
    assert_eq!(fields.number(bitmap::CURRENCY), Ok(Some(978)));
    assert_eq!(fields.objects(), Ok(Vec::new()));
    assert_eq!(fields.byte(0x19), Some(0));
    let data = hex("04 00 00 00 00 12 50 EE 01 02");
    assert_eq!(Reader(&data).fields().unwrap().all().len(), 1);
    for bad in ["04 00 00", "04 00 00 00 00 12 50 04 00 00 00 00 12 51", "3C FF F0 F0", "22 F9 F9 00", "06 05 00"] {
        assert_eq!(Reader(&hex(bad)).fields(), Err(Malformed), "{bad}");
    }
}

#[test]
fn objects_are_read_however_their_lengths_are_written() {
    let data = hex("26 04 0A 02 06 D3 1F 07 81 01 02 07 82 00 01 41 1F 80 01 00");
    let objects = Reader(&data).objects().unwrap();
    let tags: Vec<u32> = objects.iter().map(|(tag, _)| *tag).collect();
    assert_eq!(tags, [tag::COMMANDS, tag::RECEIPT_KIND, tag::LINE, 0x1f_8001]);
    assert_eq!(Reader(objects[0].1).objects(), Ok(vec![(tag::COMMAND, &[0x06, 0xd3][..])]));
    for bad in ["26", "26 05 0A", "26 81", "26 83 00 00 01 00", "26 80", "1F", "1F 81 82 83 00", "26 FF FF FF FF"] {
        assert_eq!(Reader(&hex(bad)).objects(), Err(Malformed), "{bad}");
    }
}

#[test]
fn what_is_written_is_read_again() {
    for length in [0, 1, 99, 100, 127, 128, 255, 256, 999, 1_000] {
        let value = vec![0x41; length];
        let mut writer = Writer::default();
        writer.ll(0x8b, &value).lll(0x3c, &value).container(Writer::default().object(0x1f07, &value));
        let fields = Reader(&writer.0).fields().unwrap();
        assert_eq!(fields.get(0x8b).map(<[u8]>::len), Some(length.min(99)));
        assert_eq!(fields.get(0x3c).map(<[u8]>::len), Some(length.min(999)));
        assert_eq!(fields.objects(), Ok(vec![(0x1f07, value.as_slice())]));
    }
    let amount = Amount::from_minor(1_000, Currency::from_code("EUR").unwrap()).unwrap();
    let mut writer = Writer::default();
    writer.amount(amount).number(bitmap::CURRENCY, 978, 2);
    assert_eq!(writer.0, hex("04 00 00 00 00 10 00 49 09 78"));
}

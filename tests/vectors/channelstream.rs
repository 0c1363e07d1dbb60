//! Signatures of Channelstream.

use fanwire::dialect::channelstream::sign::Signer;
use serde_json::Value;

/// Every case of the file with the name of its test.
fn signature_cases() -> Vec<(String, Value)> {
    let file = include_str!("../data/channelstream/signatures.json");
    let file: Value = serde_json::from_str(file).expect("the vectors are JSON");
    super::named(&file["cases"])
}
fn check_signature(name: &str) {
    let cases = signature_cases();
    let (_, case) = cases
        .iter()
        .find(|(known, _)| known == name)
        .expect("a case of this name");
    let signed = case["signed"].as_str().expect("text");
    let now = case["now"].as_u64().expect("seconds");
    let signer = Signer::new(case["verify_with"].as_str().expect("text").as_bytes());
    for (key, max_age_s) in [
        ("valid_with_max_age_60", Some(60)),
        ("valid_without_max_age", None),
    ] {
        let verdict = signer.verify(signed, now, max_age_s);
        let expected = case[key].as_bool().expect("true or false");
        assert_eq!(verdict.is_ok(), expected, "{name}, {key}: {verdict:?}");
    }

    // Where the text is just what the signer makes, ours must make the same.
    let valid = case["valid_without_max_age"] == true;
    let url_safe_unpadded = !signed.contains(['+', '=']) && !name.contains("standard_base64");
    if let (true, true, Some(value), Some(at)) = (
        valid,
        url_safe_unpadded,
        case["value"].as_str(),
        case["timestamp"].as_u64(),
    ) {
        assert_eq!(signer.sign(value, at), signed);
    }
}

macro_rules! signatures {
    ($($name:ident)*) => {
        mod signature {
            $(
                #[test]
                fn $name() {
                    super::check_signature(stringify!($name));
                }
            )*
        }

        #[test]
        fn every_signature_is_named() {
            let named = vec![$(stringify!($name)),*];
            let cases = signature_cases();
            let known: Vec<&str> = cases.iter().map(|(name, _)| name.as_str()).collect();
            assert_eq!(named, known);
        }
    };
}

signatures! {
    plain
    path_as_value
    empty_value
    dots_in_value
    unicode_secret_and_value
    exactly_60_seconds_old
    at_61_seconds_old_expired
    from_the_future
    five_byte_timestamp_after_the_year_2106
    zero_timestamp_the_time_part_is_empty
    value_changed
    time_part_changed
    signature_part_changed
    signature_cut_short
    padded_signature
    signature_part_in_the_standard_base64_alphabet
    the_same_in_the_url_safe_alphabet
    another_secret
    plain_signer_no_time_part
    malformed
    malformed_2
    malformed_3
    malformed_4
    malformed_5
}

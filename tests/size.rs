#![allow(missing_docs, unused_qualifications, reason = "x")]
#[test]
fn sizes() {
    use hybi::*;
    eprintln!(
        "conn {} receiver {} sender {} encoder {} decoder {} config {} outcome {} ready {} event {} res {}",
        size_of::<Connection>(),
        size_of::<Receiver>(),
        size_of::<Sender<Outbox>>(),
        size_of::<hybi::frame::Encoder>(),
        size_of::<hybi::frame::Decoder>(),
        size_of::<SharedConfig>(),
        size_of::<Outcome>(),
        size_of::<Ready>(),
        size_of::<Event>(),
        size_of::<Result<Option<Ready>, ProtocolError>>()
    );
}

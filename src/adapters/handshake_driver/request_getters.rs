//! The getters of requests that wait for the application, shared by all adapters.
//!
//! Each adapter has its own types `PendingRequest` and `HttpCall`, because they own a stream of the adapter. Their
//! getters are the same. The macros in this file write the getters into the `impl` blocks of the adapters.
//!
//! Invariant: a type that uses a macro has the field that the macro reads. The field is `pending` of the type
//! [`Pending`](super::Pending), or `request` of the type [`PlainRequest`](super::PlainRequest).

/// The getters of a request to open a WebSocket.
macro_rules! pending_request_getters {
    () => {
        /// Returns the head of the request: method, target and headers.
        #[must_use]
        pub const fn head(&self) -> &$crate::handshake::RequestHead {
            &self.pending.head
        }

        /// Returns the method of the request. Methods are case-sensitive (RFC 9110 section 9.1).
        #[must_use]
        pub fn method(&self) -> &str {
            self.pending.head.method()
        }

        /// Returns the target of the request: path and query, or an absolute URI.
        #[must_use]
        pub fn target(&self) -> &str {
            self.pending.head.target()
        }

        /// Returns the headers of the request.
        #[must_use]
        pub fn headers(&self) -> $crate::handshake::Headers<'_> {
            self.pending.head.headers()
        }

        /// Returns the origin of the page that opens the connection, or `None` if the client sent no origin.
        #[must_use]
        pub fn origin(&self) -> Option<&str> {
            self.pending.head.origin()
        }

        /// Returns the subprotocols that the client offers, in its order of preference.
        pub fn subprotocols(&self) -> impl Iterator<Item = &str> + Clone {
            self.pending.head.subprotocols()
        }

        /// Returns the acceptance that [`accept`](Self::accept) uses. It selects the first subprotocol in the client's
        /// list that the server [supports](Server::subprotocols).
        ///
        /// The application can change this value and pass it to [`accept_with`](Self::accept_with).
        #[must_use]
        pub fn acceptance(&self) -> Acceptance {
            self.pending.acceptance()
        }
    };
}

/// The getters of a plain HTTP request, and the setter for its response.
macro_rules! http_call_getters {
    () => {
        /// Returns the method of the request. Methods are case-sensitive (RFC 9110 section 9.1).
        #[must_use]
        pub fn method(&self) -> &str {
            self.request.head.method()
        }

        /// Returns the target of the request: path and query, or an absolute URI.
        #[must_use]
        pub fn target(&self) -> &str {
            self.request.head.target()
        }

        /// Returns the headers of the request.
        #[must_use]
        pub fn headers(&self) -> $crate::handshake::Headers<'_> {
            self.request.head.headers()
        }

        /// Returns the bytes that were read from the stream: the head of the request, and the bytes after the head.
        #[must_use]
        pub fn received(&self) -> &[u8] {
            &self.request.received
        }

        /// Sets the time after which the response fails if the stream accepts no byte; 30 s by default. Each accepted
        /// byte restarts this timeout.
        ///
        /// With a shorter timeout, the response can fail for slow readers. A socket with a full send buffer accepts no
        /// byte until about a third of the buffer is free again. With a buffer of 4 MiB, about 1.4 MiB must be free.
        /// If the peer reads less than 48 KiB/s, such a socket accepts no byte for more than 30 s.
        #[must_use]
        pub fn write_timeout(mut self, timeout: core::time::Duration) -> Self {
            self.request.write_timeout = timeout;
            self
        }
    };
}

pub(in crate::adapters) use {http_call_getters, pending_request_getters};

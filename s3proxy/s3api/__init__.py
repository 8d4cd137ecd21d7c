"""The S3 protocol: what a request is, who sends it, and whether its body is what it claims to be.

Nothing here opens a socket or looks at a clock; aiohttp is not imported. The app calls, in this order:

    from head:        head = make_head(request.method, request.raw_path, request.headers.items())
    from sigv4:       verified = Verifier(credentials, keys=SigningKeys()).verify(
                          head, now=datetime.now(UTC), host_bucket=host_bucket(head, domains))
        verified.principal: Principal      .name for logs; "anonymous" without a signature
        verified.head: RequestHead         to be used from now on: presigned URLs may carry x-amz-* headers in the query
        verified.payload: Payload          what x-amz-content-sha256 says
    from operations:  call = classify(verified.head, domains=("s3.example.com",))
        call.operation: Operation          one name of the S3 API, Operation.GET_OBJECT.value == "GetObject"
        call.bucket, call.key: str         decoded exactly once; "" where there is none
        call.query: Query                  decoded (name, value) pairs that count for the operation (``rules``);
                                           call.query.get("versionId") -> "" when absent, "partNumber" in call.query
        call.headers: Mapping              those that count, and go to the store where the request is passed on
        call.copy_source: CopySource|None  of a copy
    from access:      require_access(verified.principal, call)                      covers the source of a copy, too
        verified.principal.require(Right.DELETE, bucket, key)                       once per key of DeleteObjects
        verified.principal.visible_buckets(names)                                   to filter ListBuckets

    from body:        body = open_body(verified, want_md5=True)                     for PutObject and UploadPart
        body.length: int                   of the plaintext, known before the first byte (411 otherwise)
        body.feed(data) -> list[memoryview]      plaintext, verified as far as can be; any split; raises S3Error
        body.finish() -> BodyDigests       raises S3Error unless everything held: length, SHA-256, chunk and trailer
                                           signatures, Content-MD5, checksum. COMMIT NOTHING BEFORE IT RETURNS.
            .md5: bytes | None             when wanted or claimed
            .checksum: Checksum | None     of strongroom.sealed.digests; what was claimed, to be stored and echoed
        stored_content_encoding(head) -> str     Content-Encoding without aws-chunked

    from errors:      every refusal is an S3Error(code, message): .code, .status, .message, .details, .retry_after_s
                      error_document(error, resource=head.raw_path, request_id=...) -> bytes

    from documents:   parse_complete_multipart_upload(body) -> tuple[CompletedPart, ...]; parse_delete(body) ->
                      DeleteRequest; parse_tagging(body) -> tuple[tuple[str, str], ...]; parse_location_constraint(body)
    from xml_read:    parse_document(body, root="VersioningConfiguration") -> Element
    from xml_write:   to_xml(node("CopyObjectResult", node("ETag", etag), ...)) -> bytes

    from checksums:   composite(algorithm, values) and full_object(algorithm, [(value, length), ...]) -> Checksum
                      checksum_header(checksum) -> (name, value); checksum_text; parse_checksum(algorithm, text);
                      parse_algorithm(text); parse_scope(text, algorithm) of x-amz-checksum-type
    from names:       parse_copy_source(text) -> CopySource(bucket, key, version_id), with .header for the store

    from signer:      Signer(StoreCredential(access_key_id, secret_key, session_token), region).sign(method, host=...,
                      raw_path=..., raw_query=..., headers={...}, now=..., payload_sha256=UNSIGNED_PAYLOAD)
                      -> headers to add: Authorization, x-amz-date, x-amz-content-sha256, x-amz-security-token
    from canonical:   encode_path(bucket, key) -> "/bucket/key"; encode_query([(name, value)]): raw forms to be sent

    from post_policy: verify_post(fields, bucket=..., filename=..., credentials=..., keys=..., now=...) -> PostUpload
                      (.principal, .key, .fields, .max_bytes, .require_size(n)); the app asks the principal for WRITE

All of it is safe to call in a thread: objects are used by one request at a time, and SigningKeys takes a lock.
"""

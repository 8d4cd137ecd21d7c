"""The front half of the proxy: what a request is, who sends it, and whether its body is what it claims to be.

Nothing here opens a socket or looks at a clock; aiohttp is not imported. The app calls, in this order:

    head = make_head(request.method, request.raw_path, request.headers.items())      # front.head
    call = classify(head, domains=("s3.example.com",))                               # front.operations
        call.operation: Operation          one name of the S3 API, Operation.GET_OBJECT.value == "GetObject"
        call.bucket, call.key: str         decoded exactly once; "" where there is none
        call.query: Query                  decoded (name, value) pairs without those of the signature;
                                           call.query.get("versionId") -> "" when absent, "partNumber" in call.query
    verified = Verifier(credentials, keys=SigningKeys()).verify(head, now=datetime.now(UTC))   # front.sigv4
        verified.principal: Principal      verified.principal.name for logs; "anonymous" without a signature
        verified.head: RequestHead         use this one from now on: a presigned URL may carry x-amz-* headers in its query
        verified.payload: Payload          what x-amz-content-sha256 says
    require_access(verified.principal, call, verified.head)                          # front.access; CopySource included
    verified.principal.require(Right.DELETE, bucket, key)                            # once per key of DeleteObjects
    verified.principal.visible_buckets(names)                                        # to filter ListBuckets

    body = open_body(verified, want_md5=True)                                        # front.body, for PutObject, UploadPart
        body.length: int                   of the plaintext, known before the first byte (411 otherwise)
        body.feed(data) -> list[memoryview]      plaintext, verified as far as can be; any split; raises S3Error
        body.finish() -> BodyDigests       raises S3Error unless everything held: length, SHA-256, chunk and trailer
                                           signatures, Content-MD5, checksum. COMMIT NOTHING BEFORE IT RETURNS.
            .md5: bytes | None             when wanted or claimed
            .checksum: Checksum | None     of strongroom.sealed.digests: what the client claimed, to be stored and echoed
    stored_content_encoding(head) -> str   Content-Encoding without aws-chunked          front.body

    Every refusal is an S3Error(code, message): .code, .status, .message, .details      # front.errors
    error_document(error, resource=head.raw_path, request_id=...) -> bytes

    XML, read safely: parse_complete_multipart_upload(body) -> tuple[CompletedPart, ...]   # front.documents
                      parse_delete(body) -> DeleteRequest; parse_tagging(body) -> tuple[tuple[str, str], ...]
                      parse_document(body, root="VersioningConfiguration") -> Element      # front.xml_read
    XML, written:     to_xml(node("CopyObjectResult", node("ETag", etag), ...)) -> bytes   # front.xml_write

    Multipart checksums: composite(algorithm, values) -> Checksum                        # front.checksums
                         full_object(algorithm, [(value, length), ...]) -> Checksum
    checksum_header(Checksum) -> (name, value); checksum_text(Checksum); parse_checksum(algorithm, text) -> Checksum
    Copy: copy_source(head) -> CopySource(bucket, key, version_id)                       # front.operations

    To the store: Signer(StoreCredential(access_key_id, secret, session_token), region=..., keys=SigningKeys())   # front.signer
                  .sign(method, host=..., raw_path=..., raw_query=..., headers={...}, payload_sha256=UNSIGNED_PAYLOAD,
                        now=...) -> dict[str, str]     headers to add: Authorization, x-amz-date, x-amz-content-sha256
                  encode_path(bucket, key) -> "/bucket/key" and encode_query([(name, value)]) give the raw forms  # front.canonical

    Post form: parse_post_policy / verify_post(fields, credentials, keys, now=...) -> PostUpload              # front.post_policy

    CredentialsFile(path): .table (a Credentials, what Verifier takes), .reload_if_changed(), .error          # front.credentials_file

All of it is safe to call in a thread: objects are used by one request at a time, and SigningKeys takes a lock.
"""

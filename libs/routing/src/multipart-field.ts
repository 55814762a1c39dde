export const MULTIPART_LIMITS = {
  /** Parts looked at until the field is found. */
  parts: 64,
  /** Of the head of one part. */
  headBytes: 4_096,
  /** Of the value. */
  valueBytes: 256,
} as const;

/**
 * The value of a text field of a `multipart/form-data` body (RFC 7578), read without touching the
 * body. Undefined when it is absent, beyond the limits, or the body is not well formed: the upstream
 * judges that.
 */
export function multipartField(
  body: Buffer,
  contentType: string,
  field: string,
): string | undefined {
  const boundary = boundaryOf(contentType);
  if (boundary === undefined) return undefined;
  const delimiter = `\r\n--${boundary}`;
  let at = body.indexOf(`--${boundary}`) + delimiter.length - 2;
  for (let part = 0; part < MULTIPART_LIMITS.parts; part++) {
    const headEnd = body.indexOf('\r\n\r\n', at);
    if (headEnd < 0 || headEnd - at > MULTIPART_LIMITS.headBytes) return undefined;
    const start = headEnd + 4;
    const end = body.indexOf(delimiter, headEnd + 2);
    if (end < 0) return undefined;
    if (namesField(body.toString('utf8', at, headEnd), field)) {
      if (end - start > MULTIPART_LIMITS.valueBytes) return undefined;
      return body.toString('utf8', Math.min(start, end), end);
    }
    at = end + delimiter.length;
  }
  return undefined;
}

function boundaryOf(contentType: string): string | undefined {
  if (!/^multipart\/form-data\s*;/i.test(contentType)) return undefined;
  const [, quoted, plain] =
    /;\s*boundary=(?:"([^"]{1,70})"|([^\s;"]{1,70}))/i.exec(contentType) ?? [];
  return quoted ?? plain;
}

function namesField(head: string, field: string): boolean {
  const disposition = /^content-disposition:\s*form-data\s*;(.*)$/im.exec(head)?.[1] ?? '';
  const name = /(?:^|;)\s*name=(?:"([^"]*)"|([^\s;]+))/i.exec(disposition);
  return (name?.[1] ?? name?.[2]) === field && !/;\s*filename\*?=/i.test(disposition);
}

import { createHmac } from 'node:crypto';
import { DomainError } from '../domain/errors.js';
import { canonicalJson, sha256 } from '../domain/json.js';
import type { EraseEntity, ErasureCertificate, SignedCertificate } from '../domain/snapshots.js';
import { erasureKey, endErasure, getErasure } from '../store/erasures.js';
import { findingsOf } from '../store/erasing.js';
import { instantBefore } from '../store/retention.js';
import { secretNamed } from '../store/tombstones.js';
import type { Dependencies } from './dependencies.js';
import type { Verified } from './erasure.js';

/** Writes the certificate from what the erasure noted, never from what it meant to do. */
export async function certify(
  { db }: Pick<Dependencies, 'db'>,
  { project, erasure, principal }: EraseEntity,
  { left, tables, files, staged }: Verified,
): Promise<{ sha256: string }> {
  const state = await getErasure(db, project, erasure);
  if (state.certificate) return { sha256: state.certificate.sha256 };
  if (Object.keys(left).length > 0)
    throw new DomainError('erasure_incomplete', `Rows are left in ${Object.keys(left).join(', ')}.`, { left });
  const key = await erasureKey(db, project, erasure);
  const { entity, keyDigest, reason, openedAt } = state;
  const certificate: ErasureCertificate = {
    ...{ format: 'eider-erasure/1', project, erasure, entity, keyDigest, reason, openedAt },
    keyColumns: (key?.keys ?? []).map(({ name }) => name),
    principal: state.principal,
    endedAt: await instantBefore(db, 0),
    ...(await findingsOf(db, project, erasure, entity)),
    verified: { tables, files, rowsFound: 0 },
    staged,
  };
  const signed = await sign(db, certificate);
  await endErasure(db, project, signed, { name: principal });
  return { sha256: (await getErasure(db, project, erasure)).certificate?.sha256 ?? signed.sha256 };
}

async function sign(db: Dependencies['db'], certificate: ErasureCertificate): Promise<SignedCertificate> {
  const text = canonicalJson(certificate);
  const secret = await secretNamed(db, 'erasure_certificates');
  return { certificate, sha256: sha256(text), signature: createHmac('sha256', secret).update(text).digest('hex') };
}

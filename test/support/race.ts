/** Starts everything at once and says what came of each. */
export async function race<Value>(count: number, work: (at: number) => Promise<Value>) {
  const settled = await Promise.allSettled(Array.from({ length: count }, (_, at) => work(at)));
  return {
    values: settled.flatMap((one) => (one.status === 'fulfilled' ? [one.value] : [])),
    codes: settled.flatMap((one) => (one.status === 'rejected' ? [(one.reason as { code?: string }).code] : [])),
  };
}

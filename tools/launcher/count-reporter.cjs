/** Leaves one small JSON file a test run, from which the gate counts and says again what failed. */
const { randomUUID } = require('node:crypto');
const { writeFileSync } = require('node:fs');
const path = require('node:path');
const { stripVTControlCharacters } = require('node:util');

const ROOT = path.resolve(__dirname, '../..');
/** A message longer than this is a diff of something large; its beginning says what. */
const MESSAGE_LINES = 30;

module.exports = class CountReporter {
  onRunComplete(contexts, results) {
    const folder = process.env.SANCTUM_TEST_REPORTS;
    if (!folder) return;
    const report = {
      passed: results.numPassedTests,
      failed: results.numFailedTests + results.numRuntimeErrorTestSuites,
      skipped: results.numPendingTests + results.numTodoTests,
      failures: results.testResults.flatMap(failuresOf),
    };
    // Not under the pid: a long gate starts more processes than there are pids on some machines.
    writeFileSync(path.join(folder, `${randomUUID()}.json`), JSON.stringify(report));
  }
};

/** What failed in one spec: its tests, or the spec itself when it could not run. */
function failuresOf({ testFilePath, testResults, testExecError }) {
  const file = path.relative(ROOT, testFilePath);
  const tests = testResults.filter(({ status }) => status === 'failed');
  const failures = tests.map(({ fullName, failureMessages }) =>
    failure(`${file}: ${fullName}`, failureMessages.join('\n')),
  );
  if (testExecError) failures.push(failure(file, testExecError.stack ?? testExecError.message));
  return failures;
}

function failure(name, message) {
  const lines = stripVTControlCharacters(message)
    .split('\n')
    .filter((line) => !line.includes('node_modules'));
  return { name, message: lines.slice(0, MESSAGE_LINES).join('\n') };
}

import tseslint from 'typescript-eslint';

const environmentRule = {
  object: 'process',
  property: 'env',
  message: 'Only apps/config.ts reads the environment; take what you need as a parameter.',
};

/** Few rules, each for a mistake that types and format do not show. */
export default tseslint.config(
  {
    ignores: ['**/node_modules/', 'dist/', 'coverage/', '.eider*/', 'test/upstream/', 'test/golden/'],
  },
  {
    files: ['**/*.ts'],
    languageOptions: {
      parser: tseslint.parser,
      parserOptions: { projectService: true, tsconfigRootDir: import.meta.dirname },
    },
    plugins: { '@typescript-eslint': tseslint.plugin },
    rules: {
      '@typescript-eslint/no-floating-promises': 'error',
      '@typescript-eslint/no-misused-promises': ['error', { checksVoidReturn: { attributes: false } }],
      '@typescript-eslint/await-thenable': 'error',
      '@typescript-eslint/switch-exhaustiveness-check': ['error', { considerDefaultExhaustiveForUnions: true }],
      '@typescript-eslint/consistent-type-imports': 'error',
      '@typescript-eslint/no-explicit-any': 'error',
      '@typescript-eslint/no-unused-vars': ['error', { argsIgnorePattern: '^_', varsIgnorePattern: '^_' }],
      'no-restricted-properties': ['error', environmentRule],
      'max-lines-per-function': ['error', { max: 70, skipBlankLines: true, skipComments: true }],
      'max-lines': ['warn', { max: 300, skipBlankLines: true, skipComments: true }],
    },
  },
  {
    files: ['**/*.js'],
    languageOptions: { ecmaVersion: 2023, sourceType: 'module' },
    rules: { 'no-unused-vars': ['error', { argsIgnorePattern: '^_' }], 'no-undef': 'off' },
  },
  {
    files: ['apps/config.ts', 'bench/**', 'test/**'],
    rules: { 'no-restricted-properties': 'off' },
  },
  {
    files: ['test/**/*.ts'],
    rules: {
      // A test names all its cases in one place; a describe block is one function.
      'max-lines-per-function': 'off',
      'no-restricted-syntax': [
        'error',
        {
          selector: "NewExpression[callee.name='Promise'] CallExpression[callee.name='setTimeout']",
          message: 'A test does not sleep: poll a condition with a deadline (programs/waiting.ts: until).',
        },
        {
          selector: "ImportDeclaration[source.value='node:timers/promises']",
          message: 'A test does not sleep: poll a condition with a deadline (programs/waiting.ts: until).',
        },
      ],
    },
  },
  {
    files: ['workflows/**/*.ts'],
    rules: {
      // Workflow code is replayed: what it knows of the world comes from activities.
      'no-restricted-globals': [
        'error',
        ...['process', 'fetch', 'Buffer', 'setImmediate', 'require'].map((name) => ({
          name,
          message: 'Workflow code is deterministic and runs in a sandbox; ask an activity.',
        })),
      ],
      'no-restricted-imports': ['error', { patterns: ['node:*'] }],
    },
  },
);

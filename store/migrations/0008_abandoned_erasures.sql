-- An erasure that can never be done, because nobody can say which rows are meant, is abandoned: it erased nothing.
ALTER TABLE erasures DROP CONSTRAINT erasures_status_check;
ALTER TABLE erasures ADD CHECK (status IN ('open', 'done', 'abandoned'));

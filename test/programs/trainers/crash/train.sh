echo 'reading the training set'
echo 'progress {"step":1,"total":2}'
echo 'Traceback: the trees are on fire' >&2
exit 1

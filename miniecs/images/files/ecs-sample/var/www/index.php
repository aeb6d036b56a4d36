<!DOCTYPE html>
<html lang="en">
<head><meta charset="utf-8"><title>Simple PHP App</title></head>
<body>
<h1>Simple PHP App</h1>
<p>A container runs PHP <?php echo phpversion(); ?> (stand-in for amazon/amazon-ecs-sample, built by miniecs).</p>
<?php
// Another container of the task may write here, through volumesFrom.
$written = @file_get_contents('/var/www/my-vol/date');
if ($written !== false) {
    echo '<p>', htmlspecialchars(trim($written)), "</p>\n";
}
?>
</body>
</html>
